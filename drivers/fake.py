"""A back end without storage: for tests, rehearsals of faults, and measuring everything else.

It holds names and sizes only, in memory or in a file, and takes as long and fails as often as
it is told to. See `drivers.fake_faults` for the table of faults.
"""

import random
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from marshmallow import ValidationError, fields, validate

from drivers.base import (
    Adopted,
    Clones,
    Connection,
    Connects,
    Created,
    Driver,
    DriverOptions,
    Manages,
    Mode,
    ObjectRef,
    PoolReport,
    Reverts,
    SnapshotRef,
    Snapshots,
    VolumeRef,
    checked_size,
    required,
)
from drivers.errors import (
    BackendUnavailable,
    DriverFailed,
    InvalidReference,
    NotSupported,
    OutOfSpace,
)
from drivers.fake_faults import CALLS, Faults, faults_field
from drivers.fake_store import FileStore, MemoryStore, Store
from drivers.names import UNMANAGED, Manageable, What, is_ours, manageable, source_name

_RANDOM = random.SystemRandom()


class Latency(fields.Field[tuple[float, float]]):
    """Seconds: one number, or [least, most] for a random one in between."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> tuple[float, float]:
        ends = value if isinstance(value, list) else [value, value]
        seconds = fields.Float(validate=validate.Range(min=0))
        if len(ends) != 2:
            raise ValidationError("Must be seconds, or [least, most].")
        least, most = (seconds.deserialize(end) or 0.0 for end in ends)
        if least > most:
            raise ValidationError("Must be [least, most] in this order.")
        return least, most


class FakeOptions(DriverOptions):
    """Options of a fake back end."""

    total_gib = fields.Float(load_default=1000.0, validate=validate.Range(min=0))
    """Of each pool."""
    foreign_gib = fields.Float(load_default=0.0, validate=validate.Range(min=0))
    """Of each pool: what it reports as used by others."""
    pools = fields.Integer(load_default=1, validate=validate.Range(1, 100_000))
    """One is named as the back end, several ``<backend>-1``, ``<backend>-2``, …"""
    allocation = fields.String(load_default="thin", validate=validate.OneOf(["thin", "thick"]))
    """thin takes any promise; thick refuses what does not fit into its total."""
    capabilities = fields.Dict(keys=fields.String(), load_default=dict)
    """Reported in addition."""
    latency = fields.Dict(
        keys=fields.String(validate=validate.OneOf(CALLS)), values=Latency(), load_default=dict
    )
    """Seconds that each call takes."""
    state_file = fields.String(load_default=None, validate=validate.Length(1))
    """Keep the objects in this file, which several processes may share."""
    faults = faults_field()
    faults_file = fields.String(load_default=None, validate=validate.Length(1))
    """A table of faults in JSON that may change while the driver runs."""


class FakeDriver(Driver, Snapshots, Clones, Reverts, Connects, Manages):
    """Pools of names and sizes."""

    name = "fake"
    protocol = "fake"
    options_schema = FakeOptions

    def __init__(self, backend: str, options: Mapping[str, Any]) -> None:
        super().__init__(backend, options)
        count = options["pools"]
        self._pools = [backend] if count == 1 else [f"{backend}-{n + 1}" for n in range(count)]
        self._known = frozenset(self._pools)
        self._thin = options["allocation"] == "thin"
        self._room = None if self._thin else options["total_gib"] - options["foreign_gib"]
        self._latency: Mapping[str, tuple[float, float]] = options["latency"]
        path = options["faults_file"]
        self._faults = Faults(options["faults"], Path(path) if path else None)
        self._opened: Store | None = None if options["state_file"] else MemoryStore()

    def check(self) -> None:
        with self._call("check"):
            self._store.get("")

    def report(self) -> list[PoolReport]:
        with self._call("report"):
            return [self._measured(pool) for pool in self._pools]

    def create(self, volume: VolumeRef) -> Created:
        with self._call("create", volume.object_name):
            return self._made(volume)

    def delete(self, volume: VolumeRef) -> None:
        with self._call("delete", volume.object_name):
            self._store.drop(volume.object_name)

    def extend(self, volume: VolumeRef, size_gib: int) -> None:
        name, target = volume.object_name, checked_size(size_gib)
        with self._call("extend", name):
            size = self._store.get(name)
            if size is None:
                raise DriverFailed(f"extend {name}: it is not there", left="clean")
            if size < target and not self._store.put(name, volume.pool, target, self._room):
                raise OutOfSpace(f"extend {name} to {target} GiB")

    def size_of(self, volume: VolumeRef) -> int | None:
        with self._call("size_of", volume.object_name):
            return self._store.get(volume.object_name)

    def objects(self) -> Iterator[tuple[str, int]]:
        with self._call("objects"):
            return iter([one for one in self._store.items() if is_ours(one[0])])

    def create_snapshot(self, snapshot: SnapshotRef, volume: VolumeRef) -> Created:
        with self._call("create_snapshot", snapshot.object_name):
            return self._made(snapshot, volume)

    def delete_snapshot(self, snapshot: SnapshotRef, volume: VolumeRef) -> None:
        del volume
        with self._call("delete_snapshot", snapshot.object_name):
            self._store.drop(snapshot.object_name)

    def create_from_snapshot(self, volume: VolumeRef, snapshot: SnapshotRef) -> Created:
        with self._call("create_from_snapshot", volume.object_name):
            return self._made(volume, snapshot)

    def create_clone(self, volume: VolumeRef, source: VolumeRef) -> Created:
        with self._call("create_clone", volume.object_name):
            return self._made(volume, source)

    def revert(self, volume: VolumeRef, snapshot: SnapshotRef) -> None:
        with self._call("revert", volume.object_name):
            for name in (volume.object_name, snapshot.object_name):
                self._size(name)

    def connect(
        self, volume: VolumeRef, name: str, connector: Mapping[str, Any], mode: Mode
    ) -> Connection:
        required(connector, "host")
        with self._call("connect", name):
            self._size(volume.object_name)
            self._store.connect(name, volume.object_name)
        return {
            "driver_volume_type": "fake",
            "data": {"volume": self._location(volume.object_name), "access_mode": mode},
        }

    def disconnect(self, volume: VolumeRef, name: str, connector: Mapping[str, Any] | None) -> None:
        del volume, connector
        with self._call("disconnect", name):
            self._store.disconnect(name)

    def manageable(self, what: What) -> Iterator[Manageable]:
        with self._call("manageable"):
            found = sorted(self._store.items())
        return (one for name, size in found if (one := manageable(what, name, size)) is not None)

    def adopt(self, ref: ObjectRef, reference: Mapping[str, str]) -> Adopted:
        name, ours = source_name(reference), ref.object_name
        with self._call("adopt", ours):
            if not self._store.rename(name, ours):
                if self._store.get(name) is not None:
                    raise DriverFailed(f"{ours} is there already", left="clean")
                if self._store.get(ours) is None:
                    raise InvalidReference(f"there is no {name!r}")
            return Adopted(self._location(ours), self._size(ours))

    def release(self, ref: ObjectRef, name: str | None = None) -> None:
        ours = ref.object_name
        with self._call("release", ours):
            for new in (name, UNMANAGED + ours):
                if new and not is_ours(new) and self._store.rename(ours, new):
                    return
            if self._store.get(ours) is not None:
                raise DriverFailed(f"{UNMANAGED}{ours} is there already", left="clean")

    def _made(
        self, made: VolumeRef | SnapshotRef, source: VolumeRef | SnapshotRef | None = None
    ) -> Created:
        """The object, which is made unless it is there."""
        if made.pool not in self._known:
            raise NotSupported(f"no pool {made.pool!r} here, only {', '.join(self._pools[:9])}")
        name = made.object_name
        size = self._store.get(name)
        if size is None:
            if source is not None and self._size(source.object_name) > made.size_gib:
                raise NotSupported(f"{name} with less than {source.object_name} has")
            if not self._store.put(name, made.pool, made.size_gib, self._room):
                raise OutOfSpace(f"create {name}: {made.size_gib} GiB")
        elif size != made.size_gib:
            raise DriverFailed(f"{name} is there with {size} GiB", left="clean")
        return Created(self._location(name))

    def _size(self, name: str) -> int:
        size = self._store.get(name)
        if size is None:
            raise DriverFailed(f"no {name}", left="clean")
        return size

    def _location(self, name: str) -> str:
        return f"fake:{self.backend}/{name}"

    @property
    def _store(self) -> Store:
        """Opened at the first call rather than at start: its folder may be away then."""
        if self._opened is None:
            self._opened = FileStore(Path(self.options["state_file"]))
        return self._opened

    @contextmanager
    def _call(self, call: str, name: str = "") -> Iterator[None]:
        if call in self._latency:
            time.sleep(_RANDOM.uniform(*self._latency[call]))
        with self._faults.around(call, name):
            try:
                yield
            except (sqlite3.Error, OSError) as error:
                raise BackendUnavailable(f"{self.options['state_file']}: {error}") from error

    def _measured(self, pool: str) -> PoolReport:
        total, foreign = self.options["total_gib"], self.options["foreign_gib"]
        # Thin: nothing is ever written here, so nothing is used.
        used = 0 if self._thin else self._store.used_gib(pool)
        return self.pool_report(
            pool,
            total_gib=total,
            free_gib=max(0.0, total - foreign - used),
            foreign_gib=foreign,
            thin=self._thin,
            capabilities={"multiattach": True, "online_extend": True}
            | self.options["capabilities"],
        )
