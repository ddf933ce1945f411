"""Mending what an audit found: one way for each kind, each by the means that the product has.

A repair runs in a transaction of its own, locks what it is about, and looks once more: what is no
longer wrong is left alone. A counter is recomputed by one UPDATE while its row is locked: every
transaction that changes the counter locks that row too, so each is either wholly in the sum or adds
its difference afterwards.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from db import capacity, journal, quota, residues
from db.audit import (
    OWNERS,
    PASSING,
    READY,
    SNAPSHOT_READY,
    Kind,
    owner_of,
    residue_objects,
)
from db.models import (
    Audit,
    AuditDifference,
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
from db.models.flow import RUNNING, SUPERSEDED, UNFINISHED
from db.transitions import (
    DELETING,
    ERROR,
    ERROR_DELETING,
    ERROR_EXTENDING,
    EXTENDING,
    let_go,
    locked,
)

MENDED = "mended"
"""It was wrong, and is right now."""
GONE = "gone"
"""It was no longer wrong."""
BY_HAND = "by hand"
"""There is no repair that could not destroy what somebody needs."""

ORPHAN_EPOCH = 1_000_000
"""Above any epoch that a flow reaches: a node refuses what is older than it has seen, and the rows
that knew how much that is are gone. The name of a destroyed object is never used again."""

UNKNOWN_VOLUME = object_name("00000000-0000-0000-0000-000000000000", 0)

AFTER = {DELETING: ERROR_DELETING, EXTENDING: ERROR_EXTENDING}
"""The status of a volume whose flow is gone, by the one it has; any other becomes `error`."""


@dataclass(frozen=True, slots=True)
class Repair:
    """What is done, in words for the operator, and how; False: it is no longer wrong."""

    words: str
    mend: Callable[[Session, AuditDifference], bool] | None


def mend(tx: Session, difference: AuditDifference) -> str:
    """Mend a locked difference, and write on it what became of it."""
    repair = REPAIRS[Kind(difference.kind)]
    if repair.mend is None:
        difference.outcome = BY_HAND
    else:
        difference.outcome = MENDED if repair.mend(tx, difference) else GONE
    return difference.outcome


# -- counters ------------------------------------------------------------------------------------


def _quota(tx: Session, difference: AuditDifference) -> bool:
    project, resource = difference.place, difference.subject
    upsert = (postgresql if tx.get_bind().dialect.name == "postgresql" else sqlite).insert
    row = {"project_id": project, "resource": resource, "in_use": 0, "reserved": 0}
    tx.execute(upsert(QuotaUsage).values(**row).on_conflict_do_nothing())
    here = (QuotaUsage.project_id == project, QuotaUsage.resource == resource)
    tx.execute(select(QuotaUsage.resource).where(*here).with_for_update())
    if difference.kind == Kind.QUOTA_IN_USE:
        return _recount(
            tx, QuotaUsage, "in_use", quota.charged(tx, project)[project, resource], *here
        )
    reserved = select(func.coalesce(func.sum(Reservation.delta), 0)).where(
        Reservation.project_id == project, Reservation.resource == resource
    )
    return _recount(tx, QuotaUsage, "reserved", reserved.scalar_subquery(), *here)


def _pool(tx: Session, difference: AuditDifference) -> bool:
    here = Pool.name == difference.place
    pool_id = tx.scalar(select(Pool.id).where(here).with_for_update())
    if difference.kind == Kind.POOL_TAKEN:
        column = "taken_gib"
        total = _sum(Claim, "gib", pool_id) + _sum(Residue, "gib", pool_id)
        total += _sum(Volume, "allocated_gib", pool_id) + _sum(Snapshot, "allocated_gib", pool_id)
    else:
        column, held = "volumes", Volume.pool_id == pool_id
        total = _sum(Claim, "volumes", pool_id) + _sum(Residue, "volumes", pool_id)
        total += select(func.count()).select_from(Volume).where(held).scalar_subquery()
    return _recount(tx, Pool, column, total, here)


def _sum(table: Any, column: str, pool_id: int | None) -> Any:
    total = func.coalesce(func.sum(getattr(table, column)), 0)
    return select(total).where(table.pool_id == pool_id).scalar_subquery()


def _recount(tx: Session, table: Any, column: str, total: Any, *where: ColumnElement[bool]) -> bool:
    """Set a counter, whose row is locked, to `total` unless it is that."""
    counter = getattr(table, column)
    return (
        tx.execute(
            update(table)
            .where(*where, counter != total)
            .values({column: total})
            .returning(counter)
            .execution_options(synchronize_session=False)
        ).first()
        is not None
    )


# -- flows and their volumes ---------------------------------------------------------------------


def _release(tx: Session, difference: AuditDifference) -> bool:
    flow = tx.get(Flow, difference.subject, with_for_update=True)
    table: Any = {
        Kind.STUCK_RESERVATION: Reservation,
        Kind.STUCK_CLAIM: Claim,
        Kind.STUCK_HOLD: Hold,
    }[Kind(difference.kind)]
    if flow is None or flow.state in UNFINISHED:
        return False
    if tx.scalar(select(func.count()).where(table.flow_id == flow.id)) == 0:
        return False
    if table is Reservation:
        quota.release(tx, flow.id)
    elif table is Claim:
        capacity.release(tx, flow.id)
    else:
        tx.execute(delete(Hold).where(Hold.flow_id == flow.id))
    return True


def _give_up_volume(tx: Session, difference: AuditDifference) -> bool:
    """The row gets the status that the end of such a flow has; deleting it is possible then."""
    row: Volume | Snapshot | None = None
    for noun in OWNERS:
        row = row or _locked(tx, noun, difference.subject)
    if row is None:
        return False
    passing = row.status in _passing(row)
    if row.flow_id is None and not passing:
        return False
    if row.flow_id is not None and _unfinished(tx, row.flow_id):
        return False
    let_go(row, AFTER.get(row.status, ERROR) if passing else row.status)
    return True


def _give_back_volume(tx: Session, difference: AuditDifference) -> bool:
    """The flow gets its row back if nobody else has it; otherwise it ends as superseded."""
    flow = journal.lock(tx, difference.subject)
    if flow is None or flow.state != RUNNING or not flow.admitted:
        return False
    row = _locked(tx, flow.noun, flow.resource_id)
    if row is not None and row.flow_id == flow.id:
        return False
    if row is not None and row.flow_id is None and row.status in _passing(row):
        row.flow_id = flow.id
        flow.epoch = max(flow.epoch, row.epoch)
        tx.flush()
        journal.raise_epoch(tx, flow)  # the sweeper sends it again from where its journal stands
        return True
    error = {
        "type": "Superseded",
        "message": f"an audit found that its {flow.noun} is no longer its own",
    }
    journal.raise_epoch(tx, flow)
    quota.release(tx, flow.id)
    _keep_what_it_made(tx, flow, row)
    capacity.release(tx, flow.id)
    tx.execute(delete(Hold).where(Hold.flow_id == flow.id))
    journal.write(tx, flow, "supersede", "done", error=error)
    flow.error = error
    journal.end(tx, flow, SUPERSEDED)
    return True


def _keep_what_it_made(tx: Session, flow: Flow, row: Volume | Snapshot | None) -> None:
    """What a create has made, or makes yet, is its row's, or else goes by a residue.

    The claim goes with it. Without one no volume was made.
    """
    if flow.kind == "snapshot.create":
        _keep_snapshot(tx, flow, row)
    if flow.kind != "volume.create" or capacity.claimed_pool(tx, flow.id) is None:
        return
    ctx = journal.results(tx, flow)
    name = object_name(flow.resource_id, ctx["generation"])
    here = "{node}@{backend}#{pool}".format_map(ctx)
    if isinstance(row, Volume) and (row.host, row.object_name) == (here, name):
        capacity.allocate(tx, flow.id, row)
        return
    op = _destroy(ctx["backend"], ctx["pool"], name, ctx["size_gib"])
    residues.leave(tx, flow, ctx["node"], op, "an audit found no volume that it belongs to")


def _keep_snapshot(tx: Session, flow: Flow, row: Volume | Snapshot | None) -> None:
    """A snapshot that has a row has its place with it, which is its volume's."""
    if row is not None:
        capacity.allocate(tx, flow.id, row)
        return
    ctx = journal.results(tx, flow)
    name = snapshot_object_name(flow.resource_id)
    op = _destroy(ctx["backend"], ctx["pool"], name, ctx["size_gib"], ctx["source"])
    residues.leave(tx, flow, ctx["node"], op, "an audit found no snapshot that it belongs to")


def _locked(tx: Session, noun: str, row_id: str) -> Volume | Snapshot | None:
    row: Volume | Snapshot | None = locked(tx, OWNERS[noun], row_id)
    return row


def _passing(row: Volume | Snapshot) -> frozenset[str]:
    return PASSING["volume" if isinstance(row, Volume) else "snapshot"]


def _unfinished(tx: Session, flow_id: str) -> bool:
    query = select(Flow.id).where(Flow.id == flow_id, Flow.state.in_(UNFINISHED))
    return tx.scalar(query) is not None


# -- objects -------------------------------------------------------------------------------------


def _leave_orphan(tx: Session, difference: AuditDifference) -> bool:
    """The object becomes a residue, which the sweeper has its node destroy."""
    backend, name = difference.place, difference.subject
    noun, row_id = owner_of(name)
    row = _locked(tx, noun, row_id)
    pool = tx.scalar(select(Pool.name).where(Pool.backend == backend).order_by(Pool.id).limit(1))
    known = row is not None and row.object_name == name
    at_work = select(Flow.id).where(Flow.resource_id == row_id, Flow.state.in_(UNFINISHED))
    if known or pool is None or (backend, name) in residue_objects(tx) or tx.scalar(at_work):
        return False
    audit = tx.get_one(Audit, difference.audit_id)
    host, _, short = backend.partition("@")
    tx.add(
        Residue(
            flow_id=audit.id,
            request_id=audit.request_id,
            volume_id=row_id,
            host=host,
            op=_destroy(short, pool.partition("#")[2], name, 1),
            epoch=ORPHAN_EPOCH,
            reason="an audit found that nothing knows of it",
        )
    )
    return True


def _fail_volume(tx: Session, difference: AuditDifference) -> bool:
    """Its epoch is that of the comparison: no flow has made the object right since."""
    row = _locked(tx, *owner_of(difference.subject))
    if row is None or row.flow_id is not None or row.epoch != difference.epoch:
        return False
    if row.status not in (READY if isinstance(row, Volume) else SNAPSHOT_READY):
        return False
    row.status = ERROR
    return True


def _destroy(
    backend: str, pool: str, name: str, size_gib: int, source: str | None = None
) -> dict[str, Any]:
    """The operation that removes an object; a destroy only needs some valid size.

    Of a snapshot that nothing knows of nobody can tell the volume either: a driver that cannot
    find a snapshot by its own name refuses, and the residue stays.
    """
    noun, row_id = owner_of(name)
    op: dict[str, Any] = {
        "verb": "destroy",
        "backend": backend,
        "pool": pool,
        "object": name,
        "volume_id": row_id,
        "size_gib": size_gib,
        "spec": {},
    }
    if noun == "snapshot":
        of = {"kind": "volume", "object": source or UNKNOWN_VOLUME, "size_gib": size_gib}
        op |= {"verb": "destroy_snapshot", "source": of}
    return op


_COUNTER = "set the counter to what the rows say"
_FAILED = "set it to error; nothing is deleted"
REPAIRS: dict[Kind, Repair] = {
    # What ends or begins something comes before the counters that count it.
    Kind.FLOW_WITHOUT_VOLUME: Repair(
        "give the flow its row back, or end it if another has that", _give_back_volume
    ),
    Kind.VOLUME_WITHOUT_FLOW: Repair("set it to its error status", _give_up_volume),
    Kind.STUCK_RESERVATION: Repair("release the reservation", _release),
    Kind.STUCK_CLAIM: Repair("release the claim", _release),
    Kind.STUCK_HOLD: Repair("release the hold", _release),
    Kind.ORPHAN_OBJECT: Repair(
        "leave a residue; the sweeper has the node destroy the object", _leave_orphan
    ),
    Kind.MISPLACED_OBJECT: Repair("none: move or remove it by hand", None),
    Kind.MISSING_OBJECT: Repair(_FAILED, _fail_volume),
    Kind.WRONG_SIZE: Repair(_FAILED, _fail_volume),
    Kind.QUOTA_IN_USE: Repair(_COUNTER, _quota),
    Kind.QUOTA_RESERVED: Repair(_COUNTER, _quota),
    Kind.POOL_TAKEN: Repair(_COUNTER, _pool),
    Kind.POOL_VOLUMES: Repair(_COUNTER, _pool),
}
"""The repair of each kind, in the order in which differences are mended."""
