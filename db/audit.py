"""The audit's comparison: rows with counters, owners with flows, rows with what is stored.

An audit runs while flows do, and must name what is wrong and nothing else. Two kinds of truth are
compared, and each needs its own argument.

**Rows with rows** (counters, claims, owners). Whatever changes a counter changes the rows that
explain it in the same transaction, so these hold in every committed state, not only at rest. All
of them are read in one `snapshot`: a single state. There is nothing to allow for.

**Rows with objects.** A list of a back end is of another moment than the rows, and took a while.
Two lists are compared with two snapshots, in this order:

    list 1 ─────▶ snapshot 1 ─────▶ list 2 ─────▶ snapshot 2
                  candidates        asked for     the differences: candidates
                                    after that    that are found once more

*Orphan*: an object that no row, no residue and no unfinished flow explains. A row (or flow) is
there before its object and goes after it, and hands over to a residue in one transaction, so an
object that exists is explained. A name is used once: its explanation has one beginning and one
end. An object of list 1 was explained during list 1; unexplained in snapshot 1, its explanation
has ended, so it is gone for good, and cannot be in list 2. If it is, it is an orphan. Without list
1 it could be one that a flow has begun to make after snapshot 1.

*Missing, or of another size*: a volume (or a snapshot of one) that is ready, owned by no flow and
in no residue, in snapshots 1 and 2, with the same epoch. Every flow that takes one raises its
epoch, so none had it in between, when list 2 was made: the object must be in that, with the row's
size (or, where an administrator called a growth off, up to what is still held for it in the pool).

A back end that gave no whole list is left out of all this, and said to be. Those of a node that
was declared gone (`node forget`) are not asked, and its volumes are left out.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import and_, func, literal, or_, select, text
from sqlalchemy.orm import Session, aliased

from db import quota
from db.models import (
    Claim,
    Flow,
    Hold,
    Pool,
    QuotaUsage,
    Reservation,
    Residue,
    Snapshot,
    Volume,
    object_name,
    snapshot_object_name,
)
from db.models.flow import PARKED, RUNNING, UNFINISHED
from db.transactions import reading
from db.transitions import (
    AVAILABLE,
    CREATING,
    ERROR_EXTENDING,
    IN_USE,
    RESTORING,
    TRANSITIONS,
)

READY = frozenset(
    {AVAILABLE, IN_USE, ERROR_EXTENDING, "attaching", "detaching"}
    | {"maintenance", "reserved", "awaiting-transfer"}
)
"""Statuses in which a volume that no flow owns has its object, whole."""

SNAPSHOT_READY = frozenset({AVAILABLE, RESTORING, "backing-up"})
"""The same for a snapshot."""

OWNERS: Mapping[str, type[Volume | Snapshot]] = {"volume": Volume, "snapshot": Snapshot}
"""Whose flows are compared with their rows, by the noun of the flow's kind."""


def _passing(noun: str) -> frozenset[str]:
    kinds = f"{noun}."
    taken = {taking.status for action, taking in TRANSITIONS.items() if action.startswith(kinds)}
    return frozenset({CREATING} | taken) - READY


PASSING = {noun: _passing(noun) for noun in OWNERS}
"""Statuses that only a flow at work may leave a volume or a snapshot in."""

HOLDING = (*UNFINISHED, PARKED)
"""States of a flow that may hold something: a parked one needs it when it goes on."""

Listing = Mapping[str, Mapping[str, int]]
"""What back ends hold: `host@backend` → object name → GiB."""


class Kind(StrEnum):
    """What can differ; MEANINGS says it in words."""

    QUOTA_IN_USE = "quota_in_use"
    QUOTA_RESERVED = "quota_reserved"
    POOL_TAKEN = "pool_taken"
    POOL_VOLUMES = "pool_volumes"
    STUCK_RESERVATION = "stuck_reservation"
    STUCK_CLAIM = "stuck_claim"
    STUCK_HOLD = "stuck_hold"
    VOLUME_WITHOUT_FLOW = "volume_without_flow"
    FLOW_WITHOUT_VOLUME = "flow_without_volume"
    ORPHAN_OBJECT = "orphan_object"
    MISPLACED_OBJECT = "misplaced_object"
    MISSING_OBJECT = "missing_object"
    WRONG_SIZE = "wrong_size"


MEANINGS = {
    Kind.QUOTA_IN_USE: "a project's usage is not the sum of what its rows were charged",
    Kind.QUOTA_RESERVED: "a project's reserved amount is not the sum of its flows' reservations",
    Kind.POOL_TAKEN: "a pool's taken GiB are not the sum of its claims, allocations and residues",
    Kind.POOL_VOLUMES: "a pool's number of volumes is not that of its claims, volumes and residues",
    Kind.STUCK_RESERVATION: "a flow that has ended still reserves quota",
    Kind.STUCK_CLAIM: "a flow that has ended still claims capacity",
    Kind.STUCK_HOLD: "a flow that has ended still keeps something from being deleted",
    Kind.VOLUME_WITHOUT_FLOW: "a volume or a snapshot waits for a flow that has ended, or that "
    "there never was",
    Kind.FLOW_WITHOUT_VOLUME: "a running flow does not own the volume or snapshot that it works on",
    Kind.ORPHAN_OBJECT: "a back end holds an object that nothing knows of",
    Kind.MISPLACED_OBJECT: "a back end holds an object of what is on another back end",
    Kind.MISSING_OBJECT: "the object of a volume or a snapshot is not on its back end",
    Kind.WRONG_SIZE: "the object of a volume or a snapshot has another size than that",
}

OF_OBJECTS = frozenset(
    {Kind.ORPHAN_OBJECT, Kind.MISPLACED_OBJECT, Kind.MISSING_OBJECT, Kind.WRONG_SIZE}
)
"""Kinds that a list of a back end shows; their place is that back end."""

NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference, as `db.models.AuditDifference` keeps it."""

    kind: Kind
    place: str
    subject: str
    expected: str
    found: str
    epoch: int | None = None

    @property
    def key(self) -> tuple[str, str, str, int | None]:
        """What must be the same in both looks; numbers may move while something is wrong."""
        return self.kind, self.place, self.subject, self.epoch


@contextmanager
def snapshot() -> Iterator[Session]:
    """A transaction in which every statement sees the same committed state; it only reads."""
    with reading() as tx:
        if tx.get_bind().dialect.name == "postgresql":
            # By default each statement there sees what was committed before it.
            tx.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        yield tx


def compare(tx: Session, listing: Listing) -> list[Difference]:
    """Everything that differs, in the transaction of a `snapshot` and with these lists."""
    return [
        *_quota(tx),
        *_pools(tx),
        *_stuck(tx),
        *(difference for noun in OWNERS for difference in _owners(tx, noun)),
        *_objects(tx, listing),
    ]


def confirmed(candidates: Iterable[Difference], second: Iterable[Difference]) -> list[Difference]:
    """Those of the second look that were candidates in the first."""
    known = {candidate.key for candidate in candidates}
    return [difference for difference in second if difference.key in known]


def owner_of(name: str) -> tuple[str, str]:
    """Noun and id of what has the object `volume-<uuid>[.<generation>]` or `snapshot-<uuid>`."""
    noun, _, rest = name.partition("-")
    return noun, rest.partition(".")[0]


def _quota(tx: Session) -> Iterator[Difference]:
    charged = quota.charged(tx)
    reserved: Counter[tuple[str, str]] = Counter()
    for project, resource, delta in tx.execute(
        select(Reservation.project_id, Reservation.resource, func.sum(Reservation.delta)).group_by(
            Reservation.project_id, Reservation.resource
        )
    ):
        reserved[project, resource] = int(delta)
    used = {(row.project_id, row.resource): row for row in tx.scalars(select(QuotaUsage))}
    for key in sorted({*charged, *reserved, *used}):
        row = used.get(key)
        for kind, expected, found in (
            (Kind.QUOTA_IN_USE, charged[key], row.in_use if row else 0),
            (Kind.QUOTA_RESERVED, reserved[key], row.reserved if row else 0),
        ):
            if expected != found:
                yield Difference(kind, *key, str(expected), str(found))


def _pools(tx: Session) -> Iterator[Difference]:
    gib: Counter[int | None] = Counter()
    volumes: Counter[int | None] = Counter()
    allocated = select(Volume.pool_id, func.sum(Volume.allocated_gib), func.count())
    # a pool counts volumes only
    snapshots = select(Snapshot.pool_id, func.sum(Snapshot.allocated_gib), literal(0))
    for query in (
        select(Claim.pool_id, func.sum(Claim.gib), func.sum(Claim.volumes)).group_by(Claim.pool_id),
        select(Residue.pool_id, func.sum(Residue.gib), func.sum(Residue.volumes))
        .where(Residue.pool_id.is_not(None))
        .group_by(Residue.pool_id),
        allocated.where(Volume.pool_id.is_not(None)).group_by(Volume.pool_id),
        snapshots.where(Snapshot.pool_id.is_not(None)).group_by(Snapshot.pool_id),
    ):
        for pool_id, taken, count in tx.execute(query):
            gib[pool_id] += int(taken)
            volumes[pool_id] += int(count)
    for pool in tx.scalars(select(Pool).order_by(Pool.name)):
        for kind, column, expected, found in (
            (Kind.POOL_TAKEN, "taken_gib", gib[pool.id], pool.taken_gib),
            (Kind.POOL_VOLUMES, "volumes", volumes[pool.id], pool.volumes),
        ):
            if expected != found:
                yield Difference(kind, pool.name, column, str(expected), str(found))


def _stuck(tx: Session) -> Iterator[Difference]:
    for kind, table, count, rightly in (
        (Kind.STUCK_RESERVATION, Reservation, "{} reservations", UNFINISHED),
        (Kind.STUCK_CLAIM, Claim, "{} claim", UNFINISHED),
        (Kind.STUCK_HOLD, Hold, "{} holds", HOLDING),
    ):
        query = (
            select(Flow.id, Flow.kind, Flow.state, func.count())
            .join(table, table.flow_id == Flow.id)
            .where(Flow.state.not_in(rightly))
            .group_by(Flow.id, Flow.kind, Flow.state)
            .order_by(Flow.id)
        )
        for flow_id, flow_kind, state, number in tx.execute(query):
            place = f"{flow_kind}, {state}"
            yield Difference(kind, place, flow_id, NOTHING, count.format(number))


def _owners(tx: Session, noun: str) -> Iterator[Difference]:
    """An admitted flow that goes forward owns its row; a row that waits has such a flow."""
    model = OWNERS[noun]
    robbed = set()
    for flow_id, kind, row_id, there, owner in tx.execute(
        select(Flow.id, Flow.kind, Flow.resource_id, model.id, model.flow_id)
        .outerjoin(model, model.id == Flow.resource_id)
        .where(
            Flow.state == RUNNING,
            Flow.admitted.is_(True),
            Flow.kind.like(f"{noun}.%"),
            or_(model.id.is_(None), model.flow_id.is_(None), model.flow_id != Flow.id),
        )
        .order_by(Flow.id)
    ):
        robbed.add(row_id)
        found = f"owned by {owner or 'no flow'}" if there else f"no such {noun}"
        yield Difference(Kind.FLOW_WITHOUT_VOLUME, kind, flow_id, row_id, found)
    home = aliased(Volume)
    for row_id, host, status, owner in tx.execute(
        select(model.id, home.host, model.status, model.flow_id)
        .join(home, home.id == (model.volume_id if model is Snapshot else model.id))
        .outerjoin(Flow, and_(Flow.id == model.flow_id, Flow.state.in_(UNFINISHED)))
        .where(
            Flow.id.is_(None),
            or_(model.flow_id.is_not(None), model.status.in_(PASSING[noun])),
        )
        .order_by(model.id)
    ):
        if row_id not in robbed:
            owned = f"flow {owner} has ended" if owner else "no flow"
            yield Difference(
                Kind.VOLUME_WITHOUT_FLOW, host or "-", row_id, "a flow", f"{status}, {owned}"
            )


def _objects(tx: Session, listing: Listing) -> Iterator[Difference]:
    if not listing:
        return
    busy = set(tx.scalars(select(Flow.resource_id).where(Flow.state.in_(UNFINISHED))))
    left = residue_objects(tx)
    placed = _volumes(tx) | _snapshots(tx)
    homes = {name: backend for backend, name in placed}
    for backend in sorted(listing):
        for name, size in sorted(listing[backend].items()):
            here = (backend, name)
            if here in placed or here in left or owner_of(name)[1] in busy:
                continue
            known = f"on {homes[name]}" if name in homes else NOTHING
            kind = Kind.MISPLACED_OBJECT if name in homes else Kind.ORPHAN_OBJECT
            yield Difference(kind, backend, name, known, f"{size} GiB")
    for (backend, name), row in sorted(placed.items()):
        whole = READY if owner_of(name)[0] == "volume" else SNAPSHOT_READY
        must_be = row.flow_id is None and row.status in whole
        if backend not in listing or not must_be or (backend, name) in left:
            continue
        held = listing[backend].get(name)
        # A growth that an administrator called off may have happened: its capacity is still held.
        if held is None or not row.size <= held <= max(row.size, row.allocated_gib):
            kind = Kind.MISSING_OBJECT if held is None else Kind.WRONG_SIZE
            found = NOTHING if held is None else f"{held} GiB"
            yield Difference(kind, backend, name, f"{row.size} GiB", found, row.epoch)


def residue_objects(tx: Session) -> set[tuple[str, str]]:
    """`host@backend` and object name of everything that a residue tells of."""
    return {
        (f"{host}@{op.get('backend')}", str(op.get("object")))
        for host, op in tx.execute(select(Residue.host, Residue.op))
    }


def _volumes(tx: Session) -> dict[tuple[str, str], Any]:
    """The placed volumes, by `host@backend` and object name."""
    rows = tx.execute(
        select(
            Volume.id,
            Volume.status,
            Volume.host,
            Volume.generation,
            Volume.size,
            Volume.allocated_gib,
            Volume.epoch,
            Volume.flow_id,
        ).where(Volume.host.is_not(None))
    )
    return {(row.host.partition("#")[0], object_name(row.id, row.generation)): row for row in rows}


def _snapshots(tx: Session) -> dict[tuple[str, str], Any]:
    """The snapshots of placed volumes, by `host@backend` and object name."""
    rows = tx.execute(
        select(
            Snapshot.id,
            Snapshot.status,
            Volume.host,
            Snapshot.size,
            Snapshot.allocated_gib,
            Snapshot.epoch,
            Snapshot.flow_id,
        )
        .join(Volume, Volume.id == Snapshot.volume_id)
        .where(Volume.host.is_not(None))
    )
    return {(row.host.partition("#")[0], snapshot_object_name(row.id)): row for row in rows}
