"""What a setting may be, and how a wrong one is reported.

A section is a frozen dataclass. Each of its fields is annotated with the marshmallow field that
checks a value, whose ``allowed`` metadata is the sentence that an error shows. A field that is
left out of the section's ``repr`` is a secret, and its value is left out of errors too.
"""

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, cast, get_args

from marshmallow import RAISE, Schema, ValidationError, fields, validate

T = TypeVar("T")

#: Host and backend names become queue names and parts of ``host@backend#pool``.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")

_DIGITS = re.compile(r"[+-]?[0-9]{1,18}")
_PASSWORD_IN_URL = re.compile(r"(?<=://)([^/@:]*):[^/]*@")


class SettingsError(ValueError):
    """One line: the key, the value, what is allowed, and the file or variable it came from."""


class WholeNumber(fields.Integer):
    """An integer, never rounded; an environment variable gives it as digits."""

    def deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(value, str) and _DIGITS.fullmatch(value):
            value = int(value)
        return super().deserialize(value, *args, **kwargs)


class PathString(fields.String):
    """A path; the empty string gives ``Path()``, which stands for a default to compute."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> Any:
        return Path(super()._deserialize(value, attr, data, **kwargs))


class Names(fields.List):
    """A list of names; an environment variable gives them separated by commas."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> Any:
        if isinstance(value, str):
            value = [part.strip() for part in value.split(",") if part.strip()]
        return tuple(super()._deserialize(value, attr, data, **kwargs))


class Multipliers(fields.Dict):
    """A table of numbers; an environment variable gives it as ``capacity=1.0,chance=0.5``."""

    def deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(value, str):
            pairs = (part.partition("=") for part in value.split(",") if part.strip())
            value = {name.strip(): factor.strip() for name, _, factor in pairs}
        return super().deserialize(value, *args, **kwargs)


def whole(low: int, high: int | None = None, unit: str = "") -> fields.Field:
    """A whole number from ``low`` to ``high``, both included."""
    return WholeNumber(
        strict=True,
        validate=validate.Range(min=low, max=high),
        metadata={"allowed": f"a whole number{_unit(unit)}{_range(low, high)}"},
    )


def number(low: float, high: float | None = None, unit: str = "") -> fields.Field:
    """A number from ``low`` to ``high``, both included."""
    return fields.Float(
        validate=validate.Range(min=low, max=high),
        metadata={"allowed": f"a number{_unit(unit)}{_range(low, high)}"},
    )


def seconds(low: float, high: float) -> fields.Field:
    return number(low, high, "seconds")


def boolean() -> fields.Field:
    return fields.Boolean(metadata={"allowed": "true or false"})


def choice(*values: str) -> fields.Field:
    return fields.String(
        validate=validate.OneOf(values), metadata={"allowed": "one of " + ", ".join(values)}
    )


def text(pattern: str, allowed: str) -> fields.Field:
    """A string that matches ``pattern`` as a whole."""
    return fields.String(
        validate=validate.Regexp(rf"(?:{pattern})\Z"), metadata={"allowed": allowed}
    )


def path() -> fields.Field:
    return PathString(validate=_no_nul, metadata={"allowed": "the path of a file or folder"})


def _no_nul(value: Path) -> None:
    if "\0" in str(value):
        raise ValidationError("a path has no NUL")


def names() -> fields.Field:
    return Names(
        fields.String(validate=validate.Regexp(r"[a-z][a-z0-9_]*\Z")),
        metadata={"allowed": "a list of names (in a variable: separated by commas)"},
    )


def origins() -> fields.Field:
    return Names(
        fields.String(validate=validate.Regexp(r"(\*|https?://[A-Za-z0-9.:\[\]-]+)\Z")),
        metadata={
            "allowed": 'a list of origins such as "https://host:port", or "*" '
            "(in a variable: separated by commas)"
        },
    )


def multipliers() -> fields.Field:
    return Multipliers(
        keys=fields.String(validate=validate.Regexp(r"[a-z][a-z0-9_]*\Z")),
        values=fields.Float(),
        metadata={"allowed": "a table of name = number (in a variable: name=number,name=number)"},
    )


class _Section(Schema):
    class Meta:
        unknown = RAISE


def build(section: str, kind: type[T], given: Mapping[str, tuple[Any, str]]) -> T:
    """Make the section ``kind`` from ``given``: key → (value, where it came from).

    Raises SettingsError for the first key, in the order of the alphabet, that is not right.
    """
    declared = {field.name: field for field in dataclasses.fields(cast(Any, kind))}
    rules = {key: _rule(field) for key, field in declared.items()}
    # marshmallow takes true for the number 1
    wrong = {
        key
        for key, (value, _) in given.items()
        if isinstance(value, bool) and not isinstance(rules.get(key), fields.Boolean)
    }
    values: dict[str, Any] = {}
    try:
        loaded = _Section.from_dict(rules)().load({key: value for key, (value, _) in given.items()})
        values = cast(dict[str, Any], loaded)
    except ValidationError as error:
        wrong.update(cast(dict[str, Any], error.messages))
    if not wrong:
        return kind(**values)
    key = min(wrong)
    value, source = given[key]
    if key not in declared:
        raise unknown(f"{section}.{key}", source, declared)
    more = f" ({len(wrong) - 1} more wrong keys)" if len(wrong) > 1 else ""
    raise SettingsError(
        f"{section}.{key} = {shown(value, secret=not declared[key].repr)} ({source}): "
        f"must be {rules[key].metadata['allowed']}{more}"
    )


def _rule(declared: dataclasses.Field[Any]) -> fields.Field:
    """The marshmallow field in ``Annotated[type, marshmallow field]``."""
    return cast(fields.Field, get_args(declared.type)[1])


def unknown(key: str, source: str, known: Mapping[str, Any]) -> SettingsError:
    return SettingsError(f"{key} ({source}): no such key; known are {', '.join(sorted(known))}")


def shown(value: object, secret: bool) -> str:
    """How an error shows a value: on one line, short, and no password in it."""
    if secret:
        masked = mask_url(str(value))
        return repr(masked) if "://" in masked and "?" not in masked else "***"
    line = repr(value)
    return line if len(line) <= 80 else line[:77] + "..."


def mask_url(url: str) -> str:
    """``url`` with the password of its credentials replaced by ``***``."""
    return _PASSWORD_IN_URL.sub(r"\1:***@", url)


def _unit(unit: str) -> str:
    return f" of {unit}" if unit else ""


def _range(low: float, high: float | None) -> str:
    return f" from {low:g}" + (f" to {high:g}" if high is not None else " up")
