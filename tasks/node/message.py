"""The operation in a message to a node. What is not understood is parked, never guessed at."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tasks.message import UnintelligibleError, with_keys

NEEDS: Mapping[str, dict[str, type]] = {
    "create_snapshot": {"source": dict},
    "destroy_snapshot": {"source": dict},
    "revert": {"source": dict},
    "connect": {"source": dict, "connector": dict, "mode": str},
    "disconnect": {"source": dict},
    "adopt": {"reference": dict},
}
"""What the operation of a verb has beside what every one has. A source's `kind` is volume or
snapshot: what a snapshot is taken of, what a volume goes back to or is made from (a create may have
one), what is connected."""

SOURCES = ("volume", "snapshot")
MODES = ("rw", "ro")


@dataclass(frozen=True, slots=True)
class Source:
    """An object that an operation reads beside the one that it is about; its size in GiB."""

    kind: str
    object: str
    size_gib: int


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
    source: Source | None = None
    connector: dict[str, Any] | None = None
    mode: str = "rw"
    reference: dict[str, str] | None = None


def operation(op: dict[str, Any], verb: str) -> Operation:
    """The operation of a message whose task does `verb`. Raises UnintelligibleError."""
    with_keys(
        op,
        {"verb": str, "backend": str, "pool": str, "object": str, "volume_id": str, "spec": dict}
        | {"size_gib": int}
        | NEEDS.get(verb, {}),
    )
    if op["verb"] != verb:
        raise UnintelligibleError(f"verb {op['verb']!r}, where this task does {verb!r}")
    known = {key: op[key] for key in Operation.__slots__ if op.get(key) is not None}
    for key, kind in {"connector": dict, "mode": str, "reference": dict}.items():
        if key in known:
            with_keys(known, {key: kind})
    if known.get("mode", "rw") not in MODES:
        raise UnintelligibleError("mode is neither rw nor ro")
    return Operation(**{**known, "source": _source(op.get("source"))})


def _source(source: object) -> Source | None:
    if source is None:
        return None
    found = with_keys(
        source if isinstance(source, dict) else {}, {"kind": str, "object": str, "size_gib": int}
    )
    if found["kind"] not in SOURCES:
        raise UnintelligibleError("the source is neither a volume nor a snapshot")
    return Source(**{key: found[key] for key in Source.__slots__})
