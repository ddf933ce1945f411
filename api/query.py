"""Query parameters that are no filters by value: flags."""

from flask import request

from api.errors import ApiError

TRUE = frozenset({"1", "t", "true", "on", "y", "yes"})
FALSE = frozenset({"0", "f", "false", "off", "n", "no"})


def flag(name: str, default: bool = False) -> bool:
    """The flag `name` of the request being served; raises ApiError (400) for what is neither."""
    given = request.args.get(name)
    if given is None:
        return default
    value = parse_flag(given)
    if value is None:
        raise ApiError(400, f"Invalid value for {name}: {given!r}; it must be true or false.")
    return value


def parse_flag(text: str) -> bool | None:
    """`text` as a boolean, in the spellings that OpenStack's services take; None for others."""
    word = text.strip().lower()
    if word in TRUE:
        return True
    return False if word in FALSE else None
