"""What a node understands of a message. Anything else is parked, never guessed at."""

from dataclasses import dataclass, field
from typing import Any

from tasks.message import VERSION


class UnintelligibleError(ValueError):
    """The message cannot be understood by this version of the node."""


@dataclass(frozen=True, slots=True)
class Operation:
    """What is to be done on a back end; `size_gib` in GiB, after the operation for an extend."""

    verb: str
    backend: str
    pool: str
    object: str
    volume_id: str
    size_gib: int
    spec: dict[str, Any] = field(default_factory=dict)


def checked(message: object, **kinds: type) -> dict[str, Any]:
    """`message` itself, a dict of this version with these keys of these types.

    Raises UnintelligibleError, which names the version or the key.
    """
    if not isinstance(message, dict):
        raise UnintelligibleError(f"a message is an object, not {type(message).__name__}")
    if message.get("v") != VERSION:
        raise UnintelligibleError(f"version {message.get('v')!r} is not known, only {VERSION}")
    return _with_keys(message, kinds)


def operation(op: dict[str, Any], verb: str) -> Operation:
    """The operation of a message whose task does `verb`. Raises UnintelligibleError."""
    _with_keys(
        op,
        {"verb": str, "backend": str, "pool": str, "object": str, "volume_id": str, "spec": dict}
        | {"size_gib": int},
    )
    if op["verb"] != verb:
        raise UnintelligibleError(f"verb {op['verb']!r}, where this task does {verb!r}")
    return Operation(**{key: op[key] for key in Operation.__slots__})


def _with_keys(table: dict[str, Any], kinds: dict[str, type]) -> dict[str, Any]:
    for key, kind in kinds.items():
        # type(), because True would pass as an int
        if type(table.get(key)) is not kind:
            raise UnintelligibleError(f"{key} is {table.get(key)!r}, not of {kind.__name__}")
    return table
