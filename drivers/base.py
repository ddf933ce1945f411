"""What every driver offers, and the words in which it answers.

`Driver` is the least that a back end must do: say whether it works and how much room it has,
create, delete and extend volumes, and list what it holds. A further ability (`Snapshots`,
`Clones`, `Reverts`, `Connects`, `Manages`) is a small abstract class of its own that a driver
inherits beside `Driver`; a caller asks with `isinstance`, so that what a driver cannot do is
absent rather than a method that raises.

What a caller may rely on, and the contract suite (tests/drivers/contract.py) checks:

* every call is idempotent: already there, or already gone, is success;
* when a call returns, its effect outlives a crash of the machine;
* calls for different objects run at once in many threads. Two calls that change one object never
  overlap, nor do two that connect or disconnect one volume: the storage node holds locks. What is
  only copied from may be copied from several times at once, and is not changed meanwhile;
* every error is a `DriverError`, which says what was left behind.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, TypeAlias, TypedDict

from marshmallow import Schema, fields, validate

from drivers.errors import InvalidConnector, NotSupported
from drivers.names import SNAPSHOT_NAME, VOLUME_NAME, Manageable, What, is_ours

JSON: TypeAlias = "str | int | float | bool | list[JSON] | dict[str, JSON] | None"

GIB = 1024**3
MAX_SIZE_GIB = 2**33 - 1  # a signed 64-bit number of bytes, which is what file offsets are


def checked_size(size_gib: int) -> int:
    """`size_gib` itself, 1 to `MAX_SIZE_GIB`; raises NotSupported for anything else."""
    if type(size_gib) is not int or not 1 <= size_gib <= MAX_SIZE_GIB:
        raise NotSupported(f"size {size_gib!r}: a whole number of GiB, 1 to {MAX_SIZE_GIB}")
    return size_gib


@dataclass(frozen=True, slots=True)
class VolumeRef:
    """A volume as a driver sees it. Raises NotSupported for a name or size no driver may get.

    The name is checked here, once, so that no driver can be made to leave its own storage
    by a message that carries ``../``.
    """

    object_name: str
    """``volume-<uuid>``, or ``volume-<uuid>.<generation>``: the name on the back end."""
    volume_id: str
    size_gib: int
    pool: str
    """The pool part only: what `PoolReport.name` says."""
    spec: Mapping[str, Any] = field(default_factory=dict)
    """The extra specs that matter to a driver."""

    def __post_init__(self) -> None:
        if not isinstance(self.object_name, str) or not VOLUME_NAME.fullmatch(self.object_name):
            raise NotSupported(f"object name {self.object_name!r}: not volume-<uuid>[.<n>]")
        checked_size(self.size_gib)


@dataclass(frozen=True, slots=True)
class SnapshotRef:
    """A snapshot as a driver sees it; raises NotSupported as `VolumeRef` does."""

    object_name: str
    """``snapshot-<uuid>``: the name on the back end."""
    size_gib: int
    """The size of its volume when it was taken."""
    pool: str
    """The pool part only, which is that of its volume."""

    def __post_init__(self) -> None:
        if not isinstance(self.object_name, str) or not SNAPSHOT_NAME.fullmatch(self.object_name):
            raise NotSupported(f"object name {self.object_name!r}: not snapshot-<uuid>")
        checked_size(self.size_gib)


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """A volume or a snapshot of which only the name matters; raises NotSupported for another."""

    object_name: str
    pool: str
    """The pool part only."""

    def __post_init__(self) -> None:
        if not isinstance(self.object_name, str) or not is_ours(self.object_name):
            raise NotSupported(f"object name {self.object_name!r}: neither volume nor snapshot")


@dataclass(frozen=True, slots=True)
class Created:
    """The answer to a create."""

    provider_location: str
    """Where the volume or snapshot is, in the back end's own words; shown to administrators."""


@dataclass(frozen=True, slots=True)
class Adopted(Created):
    """The answer to an adoption."""

    size_gib: int
    """The size that the object has now."""


class Connection(TypedDict):
    """How a host reaches a volume, as os-brick reads it; `data` depends on the type."""

    driver_volume_type: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class PoolReport:
    """The capacity of one pool, in GiB (2^30 bytes), and what it can do."""

    name: str
    """The pool part only, without ``host@backend#``."""
    total_gib: float
    free_gib: float
    foreign_gib: float
    """Used on the storage by anything that is not ours."""
    reserved_percentage: int
    max_over_subscription_ratio: float
    thin: bool
    thick: bool
    capabilities: dict[str, JSON] = field(default_factory=dict)

    @property
    def limit_gib(self) -> float:
        """How many GiB may be promised in all, never below 0.

        Not the free space: that already lacks what finished creates use, which the
        scheduler counts too.
        """
        ours = self.total_gib - self.total_gib * self.reserved_percentage / 100 - self.foreign_gib
        return max(0.0, ours * (self.max_over_subscription_ratio if self.thin else 1.0))


class DriverOptions(Schema):
    """The options that every back end has; a driver's own schema inherits from it.

    An option with ``metadata={"secret": True}`` is never shown in an error.
    """

    volume_backend_name = fields.String(load_default=None, validate=validate.Length(1, 255))
    """What volume types refer to; the back end's own name unless set."""
    reserved_percentage = fields.Integer(load_default=0, validate=validate.Range(0, 100))
    """Percent of the total that is never promised."""
    max_over_subscription_ratio = fields.Float(load_default=20.0, validate=validate.Range(min=1))
    """How many times over a thin pool may be promised; a thick pool is promised once."""
    operation_timeout = fields.Float(
        load_default=60.0, validate=validate.Range(min=0, min_inclusive=False)
    )
    """Seconds after which a call that has not moved anything counts as hung."""


class Driver(ABC):
    """One configured back end on this node. Thread-safe."""

    name: ClassVar[str]
    """What ``driver = "…"`` in the configuration says."""
    version: ClassVar[str] = "1.0"
    vendor: ClassVar[str] = "Breezeblock"
    protocol: ClassVar[str]
    """``storage_protocol``, as volume types ask for it."""
    options_schema: ClassVar[type[DriverOptions]] = DriverOptions

    def __init__(self, backend: str, options: Mapping[str, Any]) -> None:
        """`backend` is the name without the host; `options` passed `options_schema`.

        Touches no storage: a back end that is away at start is reported down by `check`.
        """
        self.backend = backend
        self.options = options

    @abstractmethod
    def check(self) -> None:
        """Raise BackendUnavailable, with the reason, unless the back end can work now.

        Called at start and before every report. May prepare what is missing.
        """

    @abstractmethod
    def report(self) -> list[PoolReport]:
        """The pools as they are now."""

    @abstractmethod
    def create(self, volume: VolumeRef) -> Created:
        """Make the volume; success if it is there with this size already."""

    @abstractmethod
    def delete(self, volume: VolumeRef) -> None:
        """Remove the volume, half-made or whole; success if it is gone already."""

    @abstractmethod
    def extend(self, volume: VolumeRef, size_gib: int) -> None:
        """Grow the volume to `size_gib`; success if it is that large already. Never shrinks."""

    @abstractmethod
    def size_of(self, volume: VolumeRef) -> int | None:
        """Size in whole GiB (rounded down), None if the volume is not there or half-made."""

    @abstractmethod
    def objects(self) -> Iterator[tuple[str, int]]:
        """Name and size in GiB of each object of ours, once; a half-made one has size 0."""

    def pool_report(
        self,
        name: str,
        *,
        total_gib: float,
        free_gib: float,
        foreign_gib: float = 0.0,
        thin: bool,
        capabilities: Mapping[str, JSON] | None = None,
    ) -> PoolReport:
        """A PoolReport filled in with what the common options and the class say."""
        said: dict[str, JSON] = {
            "storage_protocol": self.protocol,
            "vendor_name": self.vendor,
            "driver_version": self.version,
            "volume_backend_name": self.options["volume_backend_name"] or self.backend,
            **{ability: isinstance(self, kind) for ability, kind in ABILITIES.items()},
            "multiattach": False,
            "online_extend": False,
            **(capabilities or {}),
        }
        return PoolReport(
            name=name,
            total_gib=total_gib,
            free_gib=free_gib,
            foreign_gib=foreign_gib,
            reserved_percentage=self.options["reserved_percentage"],
            max_over_subscription_ratio=(
                self.options["max_over_subscription_ratio"] if thin else 1.0
            ),
            thin=thin,
            thick=not thin,
            # The second name is Cinder's, which extra specs use.
            capabilities={"online_extend_support": said["online_extend"], **said},
        )


# -- what a driver may be able to do beside ------------------------------------------------------


class Snapshots(ABC):
    """Snapshots, and volumes made from them.

    A snapshot lives in the pool of its volume. It does not change with the volume, nor with the
    volumes made from it, and each of them may be deleted before the others.
    """

    @abstractmethod
    def create_snapshot(self, snapshot: SnapshotRef, volume: VolumeRef) -> Created:
        """Keep the volume as it is now; success, and no change, if the snapshot is there already.

        The volume may be in use: the snapshot is then what a sudden loss of power would leave.
        """

    @abstractmethod
    def delete_snapshot(self, snapshot: SnapshotRef, volume: VolumeRef) -> None:
        """Remove the snapshot, half-made or whole; success if it is gone already."""

    @abstractmethod
    def create_from_snapshot(self, volume: VolumeRef, snapshot: SnapshotRef) -> Created:
        """Make the volume with what the snapshot holds, in its pool, and zeros behind that.

        The volume may be larger. Success, and no change, if it is there with its size already.
        """


class Clones(ABC):
    """Volumes made from volumes."""

    @abstractmethod
    def create_clone(self, volume: VolumeRef, source: VolumeRef) -> Created:
        """Make the volume with what `source` holds now; otherwise as `create_from_snapshot`."""


class Reverts(ABC):
    """Volumes that become again what they were."""

    @abstractmethod
    def revert(self, volume: VolumeRef, snapshot: SnapshotRef) -> None:
        """Give the volume the content of its snapshot, at once or not at all; it keeps its size.

        The snapshot stays. Repeated, it discards what was written meanwhile.
        """


Mode = Literal["rw", "ro"]


class Connects(ABC):
    """Volumes that a host can reach.

    A connection has a name: that of its attachment, or that of the volume for those made without
    one. It outlives the node's process; what must be made again after a start is the driver's.
    """

    @abstractmethod
    def connect(
        self, volume: VolumeRef, name: str, connector: Mapping[str, Any], mode: Mode
    ) -> Connection:
        """Let the host that `connector` describes reach the volume; repeated, answer the same.

        Raises InvalidConnector, which names what the connector lacks.
        """

    @abstractmethod
    def disconnect(self, volume: VolumeRef, name: str, connector: Mapping[str, Any] | None) -> None:
        """End the connection; success if there is none, or no such volume.

        `connector` is the one that it was made with, None where nobody knows it any more.
        """


def required(connector: Mapping[str, Any], *names: str) -> None:
    """Raise InvalidConnector unless the connector says something under each of `names`."""
    if lacking := [name for name in names if not connector.get(name)]:
        raise InvalidConnector(f"no {', '.join(lacking)}")


class Manages(ABC):
    """Objects of others that can become ours, and ours that cease to be."""

    @abstractmethod
    def manageable(self, what: What) -> Iterator[Manageable]:
        """Every object that could be adopted as such, those that are ours already, and those that
        cannot be, with the reason."""

    @abstractmethod
    def adopt(self, ref: ObjectRef, reference: Mapping[str, str]) -> Adopted:
        """Give the object of `reference` our name, with a whole number of GiB (rounded up).

        Success if it has that name already. Never takes an object that is ours under another name.
        Raises InvalidReference.
        """

    @abstractmethod
    def release(self, ref: ObjectRef, name: str | None = None) -> None:
        """Give the object a name that is not ours; success if there is none under our name.

        `name` is the one that it had before it was adopted: it gets it back if that is free.
        Nothing of its content is lost.
        """


ABILITIES: Mapping[str, type] = {
    "snapshots": Snapshots,
    "clones": Clones,
    "revert": Reverts,
    "attach": Connects,
    "manage": Manages,
}
"""By the capability that a pool then has, true or false, for the scheduler and the API."""
