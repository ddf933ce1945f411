"""The language of extra specs: what a volume type may ask of a capability.

A requirement is an operator, a blank and an operand (`>= 5`), or a plain value to be equal to. Keys
and operators follow Cinder's, so that types written for Cinder select the same backends:

=========================== ==================================================================
`=` `>=`                    a number, at least (that `=` means this too is Cinder's history)
`==` `!=` `<=`              numbers
`s==` `s!=` `s<` `s<=` ...  the capability as text, in the order of code points
`<in>`                      the operand is part of the capability's text
`<or> a <or> b`             equal to one of them
`<is>`                      both true, or both not (true: 1, t, true, on, y, yes)
`<all-in> a b`              every word is in the capability's list, or in its text (from Nova)
=========================== ==================================================================

Where the capability is a list, one element that matches is enough.
"""

import operator
from collections.abc import Callable, Mapping
from typing import Any

Match = Callable[[Any], bool]
"""Whether a capability, any JSON value but null, is what was asked for."""

SCOPE = "capabilities"
_TRUE = frozenset({"1", "t", "true", "on", "y", "yes"})
_FALSE = frozenset({"0", "f", "false", "off", "n", "no"})


def capability_path(key: str) -> tuple[str, ...] | None:
    """The way to the capability that a key speaks of: `capabilities:a:b` leads to `b` within `a`.

    None for a key of another scope (`provisioning:type`, a vendor's): it says how to make the
    volume, not where.
    """
    first, *rest = key.split(":")
    if not rest:
        return (first,)
    return tuple(rest) if first == SCOPE else None


def parse(requirement: str) -> Match:
    """The test that a requirement stands for; one that can never hold where its operand is missing
    or, for a comparison of numbers, no number."""
    words = requirement.split(maxsplit=1)
    build = _OPERATORS.get(words[0]) if words else None
    if build is None:
        return _any_element(_equal_to(requirement))
    match = build(words[1].strip()) if len(words) == 2 else _never
    return match if words[0] == "<all-in>" else _any_element(match)


def _any_element(match: Match) -> Match:
    def check(value: Any) -> bool:
        if isinstance(value, list | tuple):
            return any(check(element) for element in value)
        return not isinstance(value, Mapping) and value is not None and match(value)

    return check


def _never(_value: Any) -> bool:
    return False


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _is_true(value: Any) -> bool:
    return str(value).strip().lower() in _TRUE


def _numeric(compare: Callable[[float, float], bool]) -> Callable[[str], Match]:
    def build(operand: str) -> Match:
        asked = _number(operand)
        if asked is None:
            return _never

        def match(value: Any) -> bool:
            found = _number(value)
            return found is not None and compare(found, asked)

        return match

    return build


def _textual(compare: Callable[[str, str], bool]) -> Callable[[str], Match]:
    return lambda operand: lambda value: compare(str(value), operand)


def _truth(operand: str) -> Match:
    asked = _is_true(operand)
    return lambda value: _is_true(value) is asked


def _one_of(operand: str) -> Match:
    matches = [_equal_to(choice) for part in operand.split("<or>") if (choice := part.strip())]
    return lambda value: any(match(value) for match in matches)


def _all_in(operand: str) -> Match:
    asked = operand.split()

    def match(value: Any) -> bool:
        held = [str(v) for v in value] if isinstance(value, list | tuple) else str(value)
        return all(word in held for word in asked)

    return match


def _equal_to(text: str) -> Match:
    """Equal as what the capability is: a truth value, a number, else text."""
    number = _number(text)
    lowered = text.strip().lower()
    truth = True if lowered in _TRUE else False if lowered in _FALSE else None

    def match(value: Any) -> bool:
        if isinstance(value, bool):
            return value is truth
        if isinstance(value, int | float):
            return value == number
        return bool(value == text)

    return match


_OPERATORS: dict[str, Callable[[str], Match]] = {
    "=": _numeric(operator.ge),
    "==": _numeric(operator.eq),
    "!=": _numeric(operator.ne),
    ">=": _numeric(operator.ge),
    "<=": _numeric(operator.le),
    "s==": _textual(operator.eq),
    "s!=": _textual(operator.ne),
    "s<": _textual(operator.lt),
    "s<=": _textual(operator.le),
    "s>": _textual(operator.gt),
    "s>=": _textual(operator.ge),
    "<in>": _textual(operator.contains),
    "<is>": _truth,
    "<or>": _one_of,
    "<all-in>": _all_in,
}
