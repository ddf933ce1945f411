"""Mending what an audit found: one way for each kind, each by the means that the product has.

A repair runs in a transaction of its own, locks what it is about, and looks once more: what is no
longer wrong is left alone. A counter is recomputed by one UPDATE while its row is locked: every
transaction that changes the counter locks that row too, so each is either wholly in the sum or adds
its difference afterwards.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, ScalarSelect, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from db import capacity, journal, quota, residues
from db.audit import PASSING, READY, Kind, of_volume, residue_objects
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
    Volume,
    object_name,
)
from db.models.flow import RUNNING, SUPERSEDED, UNFINISHED
from db.transitions import DELETING, ERROR, ERROR_DELETING, ERROR_EXTENDING, EXTENDING, let_go

MENDED = "mended"
"""It was wrong, and is right now."""
GONE = "gone"
"""It was no longer wrong."""
BY_HAND = "by hand"
"""There is no repair that could not destroy what somebody needs."""

ORPHAN_EPOCH = 1_000_000
"""Above any epoch that a flow reaches: a node refuses what is older than it has seen, and the rows
that knew how much that is are gone. The name of a destroyed object is never used again."""

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
    held = Volume.pool_id == pool_id
    if difference.kind == Kind.POOL_TAKEN:
        column = "taken_gib"
        parts = [_sum(Claim, "gib", pool_id), _sum(Residue, "gib", pool_id)]
        parts.append(_sum(Volume, "allocated_gib", pool_id))
    else:
        column = "volumes"
        parts = [_sum(Claim, "volumes", pool_id), _sum(Residue, "volumes", pool_id)]
        parts.append(select(func.count()).select_from(Volume).where(held).scalar_subquery())
    return _recount(tx, Pool, column, parts[0] + parts[1] + parts[2], here)


def _sum(table: Any, column: str, pool_id: int | None) -> ScalarSelect[int]:
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
    """The volume gets the status that the end of such a flow has; deleting it is possible then."""
    volume = _locked_volume(tx, difference.subject)
    if volume is None or (volume.flow_id is None and volume.status not in PASSING):
        return False
    if volume.flow_id is not None and _unfinished(tx, volume.flow_id):
        return False
    passing = volume.status in PASSING
    let_go(volume, AFTER.get(volume.status, ERROR) if passing else volume.status)
    return True


def _give_back_volume(tx: Session, difference: AuditDifference) -> bool:
    """The flow gets its volume back if nobody else has it; otherwise it ends as superseded."""
    flow = journal.lock(tx, difference.subject)
    if flow is None or flow.state != RUNNING or not flow.admitted:
        return False
    volume = _locked_volume(tx, flow.resource_id)
    if volume is not None and volume.flow_id == flow.id:
        return False
    if volume is not None and volume.flow_id is None and volume.status in PASSING:
        volume.flow_id = flow.id
        flow.epoch = max(flow.epoch, volume.epoch)
        tx.flush()
        journal.raise_epoch(tx, flow)  # the sweeper sends it again from where its journal stands
        return True
    error = {"type": "Superseded", "message": "an audit found that its volume is no longer its own"}
    journal.raise_epoch(tx, flow)
    quota.release(tx, flow.id)
    _keep_what_it_made(tx, flow, volume)
    capacity.release(tx, flow.id)
    tx.execute(delete(Hold).where(Hold.flow_id == flow.id))
    journal.write(tx, flow, "supersede", "done", error=error)
    flow.error = error
    journal.end(tx, flow, SUPERSEDED)
    return True


def _keep_what_it_made(tx: Session, flow: Flow, volume: Volume | None) -> None:
    """What a create has made, or makes yet, is its volume's, or else goes by a residue.

    The claim goes with it. Without one nothing was made.
    """
    if flow.kind != "volume.create" or capacity.claimed_pool(tx, flow.id) is None:
        return
    ctx = journal.results(tx, flow)
    name = object_name(flow.resource_id, ctx["generation"])
    here = "{node}@{backend}#{pool}".format_map(ctx)
    if volume is not None and (volume.host, volume.object_name) == (here, name):
        capacity.allocate(tx, flow.id, volume)
        return
    op = _destroy(ctx["backend"], ctx["pool"], name, flow.payload["size_gib"])
    residues.leave(tx, flow, ctx["node"], op, "an audit found no volume that it belongs to")


def _locked_volume(tx: Session, volume_id: str) -> Volume | None:
    query = select(Volume).where(Volume.id == volume_id).with_for_update()
    return tx.scalars(query.execution_options(populate_existing=True)).first()


def _unfinished(tx: Session, flow_id: str) -> bool:
    query = select(Flow.id).where(Flow.id == flow_id, Flow.state.in_(UNFINISHED))
    return tx.scalar(query) is not None


# -- objects -------------------------------------------------------------------------------------


def _leave_orphan(tx: Session, difference: AuditDifference) -> bool:
    """The object becomes a residue, which the sweeper has its node destroy."""
    backend, name = difference.place, difference.subject
    volume_id = of_volume(name)
    row = tx.execute(
        select(Volume.host, Volume.generation).where(Volume.id == volume_id)
    ).one_or_none()
    pool = tx.scalar(select(Pool.name).where(Pool.backend == backend).order_by(Pool.id).limit(1))
    known = row is not None and object_name(volume_id, row.generation) == name
    at_work = select(Flow.id).where(Flow.resource_id == volume_id, Flow.state.in_(UNFINISHED))
    if known or pool is None or (backend, name) in residue_objects(tx) or tx.scalar(at_work):
        return False
    audit = tx.get_one(Audit, difference.audit_id)
    host, _, short = backend.partition("@")
    tx.add(
        Residue(
            flow_id=audit.id,
            request_id=audit.request_id,
            volume_id=volume_id,
            host=host,
            op=_destroy(short, pool.partition("#")[2], name, 1),
            epoch=ORPHAN_EPOCH,
            reason="an audit found that nothing knows of it",
        )
    )
    return True


def _fail_volume(tx: Session, difference: AuditDifference) -> bool:
    """Its epoch is that of the comparison: no flow has made the object right since."""
    volume = _locked_volume(tx, of_volume(difference.subject))
    if volume is None or volume.flow_id is not None or volume.epoch != difference.epoch:
        return False
    if volume.status not in READY:
        return False
    volume.status = ERROR
    return True


def _destroy(backend: str, pool: str, name: str, size_gib: int) -> dict[str, Any]:
    """The operation that removes an object; a destroy only needs some valid size."""
    return {
        "verb": "destroy",
        "backend": backend,
        "pool": pool,
        "object": name,
        "volume_id": of_volume(name),
        "size_gib": size_gib,
        "spec": {},
    }


_COUNTER = "set the counter to what the rows say"
_FAILED = "set the volume to error; nothing is deleted"
REPAIRS: dict[Kind, Repair] = {
    # What ends or begins something comes before the counters that count it.
    Kind.FLOW_WITHOUT_VOLUME: Repair(
        "give the flow its volume back, or end it if another has that", _give_back_volume
    ),
    Kind.VOLUME_WITHOUT_FLOW: Repair("set the volume to its error status", _give_up_volume),
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
