"""The operation in a message to a node. What is not understood is parked, never guessed at."""

from dataclasses import dataclass, field
from typing import Any

from tasks.message import UnintelligibleError, with_keys


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


def operation(op: dict[str, Any], verb: str) -> Operation:
    """The operation of a message whose task does `verb`. Raises UnintelligibleError."""
    with_keys(
        op,
        {"verb": str, "backend": str, "pool": str, "object": str, "volume_id": str, "spec": dict}
        | {"size_gib": int},
    )
    if op["verb"] != verb:
        raise UnintelligibleError(f"verb {op['verb']!r}, where this task does {verb!r}")
    return Operation(**{key: op[key] for key in Operation.__slots__})
