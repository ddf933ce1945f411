"""What each verb of an operation is to a driver: the ability that it needs, the call, the answer.

| verb | object | source | answer |
|---|---|---|---|
| create | volume | none, or the snapshot or volume that it is made from | provider_location |
| extend, destroy | volume | | |
| create_snapshot | snapshot | its volume | provider_location |
| destroy_snapshot | snapshot | its volume | |
| revert | volume | its snapshot | |
| connect | attachment, or the volume | the volume | connection_info |
| disconnect | attachment, or the volume | the volume | |
| adopt | volume or snapshot | | provider_location, size_gib |
| release | volume or snapshot | | |
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from drivers.base import (
    Clones,
    Connects,
    Driver,
    Manages,
    Mode,
    ObjectRef,
    Reverts,
    SnapshotRef,
    Snapshots,
    VolumeRef,
)
from drivers.errors import NotSupported
from tasks.node.message import NEEDS, Operation, Source

Result = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb. `ability` is a class that the driver must be of, the first argument of `act`.

    destroys  the object is gone for good afterwards, and its name is never used again
    settles   it undoes something, so a residue may have left it to be done
    connects  those of one volume are done one after another
    """

    ability: type
    act: Callable[[Any, Operation], Result]
    destroys: bool = False
    settles: bool = False
    connects: bool = False


def verb_of(op: Operation) -> Verb:
    """How `op` is done. Raises NotSupported for a verb that there is not."""
    made_from = _MADE_FROM.get(op.source.kind) if op.source and op.verb == "create" else None
    verb = made_from or VERBS.get(op.verb)
    if verb is None:
        raise NotSupported(f"no verb {op.verb!r}")
    return verb


def perform(driver: Driver, op: Operation) -> Result:
    """Do `op`; returns what the steps after it are to know. Raises DriverError."""
    verb = verb_of(op)
    if not isinstance(driver, verb.ability):
        raise NotSupported(f"the driver {driver.name} has no {verb.ability.__name__.lower()}")
    return verb.act(driver, op)


def locks(op: Operation) -> list[tuple[str, bool]]:
    """The names to lock for `op`, in the order in which to take them, and whether shared.

    What is only read is shared: many volumes may be made from one snapshot at once.
    """
    needed = {op.object: False}
    reads = op.verb == "create" or "source" in NEEDS.get(op.verb, {})
    if op.source is not None and reads:
        needed.setdefault(op.source.object, True)
        if verb_of(op).connects:
            needed[f"{op.source.object} connections"] = False
    return sorted(needed.items())


# -- volumes ---------------------------------------------------------------------------------------


def _create(driver: Driver, op: Operation) -> Result:
    return {"provider_location": driver.create(_volume(op)).provider_location}


def _create_from_snapshot(driver: Snapshots, op: Operation) -> Result:
    source = _snapshot(_source(op), op.pool)
    _must_fit(op)
    return {"provider_location": driver.create_from_snapshot(_volume(op), source).provider_location}


def _create_clone(driver: Clones, op: Operation) -> Result:
    source = _source_volume(op)
    _must_fit(op)
    return {"provider_location": driver.create_clone(_volume(op), source).provider_location}


def _destroy(driver: Driver, op: Operation) -> Result:
    driver.delete(_volume(op))
    return {}


def _extend(driver: Driver, op: Operation) -> Result:
    driver.extend(_volume(op), op.size_gib)
    return {}


def _revert(driver: Reverts, op: Operation) -> Result:
    driver.revert(_volume(op), _snapshot(_source(op), op.pool))
    return {}


# -- snapshots -------------------------------------------------------------------------------------


def _create_snapshot(driver: Snapshots, op: Operation) -> Result:
    made = driver.create_snapshot(_own_snapshot(op), _source_volume(op))
    return {"provider_location": made.provider_location}


def _destroy_snapshot(driver: Snapshots, op: Operation) -> Result:
    driver.delete_snapshot(_own_snapshot(op), _source_volume(op))
    return {}


# -- connections -----------------------------------------------------------------------------------


def _connect(driver: Connects, op: Operation) -> Result:
    mode: Mode = "ro" if op.mode == "ro" else "rw"
    connection = driver.connect(_source_volume(op), op.object, op.connector or {}, mode)
    return {"connection_info": dict(connection)}


def _disconnect(driver: Connects, op: Operation) -> Result:
    driver.disconnect(_source_volume(op), op.object, op.connector)
    return {}


# -- what is not ours, or was not ------------------------------------------------------------------


def _adopt(driver: Manages, op: Operation) -> Result:
    adopted = driver.adopt(ObjectRef(op.object, op.pool), op.reference or {})
    return {"provider_location": adopted.provider_location, "size_gib": adopted.size_gib}


def _release(driver: Manages, op: Operation) -> Result:
    driver.release(ObjectRef(op.object, op.pool), (op.reference or {}).get("source-name"))
    return {}


_MADE_FROM: Mapping[str, Verb] = {
    "snapshot": Verb(Snapshots, _create_from_snapshot),
    "volume": Verb(Clones, _create_clone),
}
VERBS: Mapping[str, Verb] = {
    "create": Verb(Driver, _create),
    "destroy": Verb(Driver, _destroy, destroys=True, settles=True),
    "extend": Verb(Driver, _extend),
    "revert": Verb(Reverts, _revert),
    "create_snapshot": Verb(Snapshots, _create_snapshot),
    "destroy_snapshot": Verb(Snapshots, _destroy_snapshot, destroys=True, settles=True),
    "connect": Verb(Connects, _connect, connects=True),
    "disconnect": Verb(Connects, _disconnect, settles=True, connects=True),
    "adopt": Verb(Manages, _adopt),
    "release": Verb(Manages, _release, settles=True),
}


def _volume(op: Operation) -> VolumeRef:
    return VolumeRef(op.object, op.volume_id, op.size_gib, op.pool, op.spec)


def _own_snapshot(op: Operation) -> SnapshotRef:
    return SnapshotRef(op.object, op.size_gib, op.pool)


def _snapshot(source: Source, pool: str) -> SnapshotRef:
    return SnapshotRef(source.object, source.size_gib, pool)


def _source_volume(op: Operation) -> VolumeRef:
    source = _source(op)
    volume_id = source.object.removeprefix("volume-").partition(".")[0]
    return VolumeRef(source.object, volume_id, source.size_gib, op.pool, op.spec)


def _source(op: Operation) -> Source:
    if op.source is None:
        raise NotSupported(f"{op.verb} without a source")
    return op.source


def _must_fit(op: Operation) -> None:
    source = _source(op)
    if op.size_gib < source.size_gib:
        reason = f"{op.size_gib} GiB, less than the {source.size_gib} of {source.object}"
        raise NotSupported(f"{op.object} with {reason}")
