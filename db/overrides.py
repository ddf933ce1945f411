"""Administrators' overrides: each fences the running flow, so nothing of it takes effect later."""

from typing import Any, TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from db import attachments, capacity, holds, journal, quota, residues
from db.models import (
    OWNABLE,
    Attachment,
    Flow,
    Group,
    GroupSnapshot,
    Node,
    Ownable,
    Residue,
    Snapshot,
    Volume,
    object_name,
)
from db.models.flow import PARKED, SUPERSEDED, UNDOING
from db.models.pool import FORGOTTEN
from db.transitions import (
    AVAILABLE,
    DELETING,
    DETACHED,
    ERROR,
    ERROR_DELETING,
    RESTORING,
    BeingDestroyed,
    NotFound,
    locked,
)

DESTROYING = frozenset({"volume.delete", "volume.revert", "snapshot.delete"})
"""Kinds of flows after which nothing is left of what a volume or a snapshot held."""

R = TypeVar("R", Volume, Snapshot, Group, GroupSnapshot)


def reset_volume_status(tx: Session, volume_id: str, status: str) -> Volume:
    """Set a volume's status whatever it is (os-reset_status); raises as `fenced` does."""
    return _reset(tx, Volume, volume_id, status)


def reset_volume(
    tx: Session,
    volume_id: str,
    request_id: str,
    *,
    status: str | None = None,
    attach_status: str | None = None,
    migration_status: str | None = None,
) -> None:
    """Set any of a volume's three statuses (os-reset_status); raises as `fenced` does.

    A volume that is declared detached has no attachments left, whatever works on them.
    """
    if attach_status == DETACHED:
        attachments.lock_flows(tx, volume_id)
    if status is not None:
        reset_volume_status(tx, volume_id, status)
    volume = attachments.locked_volume(tx, volume_id)
    if attach_status == DETACHED:
        attachments.drop_all(tx, volume, request_id)
    if attach_status is not None:
        volume.attach_status = attach_status
    if status is not None:
        volume.status = status
    if migration_status is not None:
        volume.migration_status = None if migration_status == "none" else migration_status


def reset_snapshot_status(tx: Session, snapshot_id: str, status: str) -> Snapshot:
    """Set a snapshot's status whatever it is (os-reset_status); raises as `fenced` does."""
    return _reset(tx, Snapshot, snapshot_id, status)


def reset_group_status(
    tx: Session, model: type[Group] | type[GroupSnapshot], row_id: str, status: str
) -> None:
    """Set the status of a group or group snapshot; what it has begun goes on without it."""
    row = fenced(tx, Group, row_id) if model is Group else fenced(tx, GroupSnapshot, row_id)
    row.status = status


def _reset(tx: Session, model: type[R], resource_id: str, status: str) -> R:
    usable = status not in (ERROR, ERROR_DELETING, DELETING)
    row = fenced(tx, model, resource_id, for_use=usable)
    row.status = status
    return row


def fenced(tx: Session, model: type[R], resource_id: str, *, for_use: bool = False) -> R:
    """The row, locked, with no flow at work on it: a running or parked one is superseded.

    Locks the flow before the row, as the flow's own steps do. Raises NotFound, or for what is
    wanted `for_use` BeingDestroyed: the order to destroy it, or to write over it, may wait on its
    node, where nothing can overtake it, so it cannot be declared usable.
    """
    owner = tx.scalar(select(model.flow_id).where(model.id == resource_id))
    flow = journal.lock(tx, owner) if owner else None
    row = locked(tx, model, resource_id)
    if row is None:
        raise NotFound(f"{model.__name__} {resource_id} could not be found.")
    if flow is not None and row.flow_id == flow.id:
        if for_use and flow.kind in DESTROYING:
            raise BeingDestroyed(resource_id, row.status, flow.noun)
        _supersede(tx, flow, row)
    if isinstance(row, Volume | Snapshot):
        residues.drop_resumable(tx, row)
    return row


def _supersede(tx: Session, flow: Flow, row: Volume | Snapshot | Group | GroupSnapshot) -> None:
    """End `flow`; what it has reserved goes back, what it has claimed stays with what may exist."""
    # the status is for the request that is not admitted yet
    message = f"An administrator took the {flow.noun} over."
    error = {"type": "Superseded", "status": 409, "message": message}
    journal.raise_epoch(tx, flow)
    row.epoch = flow.epoch
    quota.release(tx, flow.id)
    if isinstance(row, Volume | Snapshot):
        if flow.kind == f"{flow.noun}.manage":
            _leave_release(tx, flow, row)
        if isinstance(row, Volume):
            _leave_undone(tx, flow, row)
        capacity.allocate(tx, flow.id, row)
    holds.release(tx, flow.id)
    journal.write(tx, flow, "supersede", "done", error=error)
    flow.error = error
    journal.end(tx, flow, SUPERSEDED)
    row.flow_id = None


def _leave_undone(tx: Session, flow: Flow, volume: Volume) -> None:
    """What a superseded flow was about to undo or to finish for its volume."""
    if flow.kind == "volume.create" and flow.state == UNDOING:
        _leave_destroy(tx, flow, volume)
    elif flow.kind == "volume.extend":
        quota.give_back_growth(tx, volume)
    elif flow.kind == "volume.revert":
        restored(tx, flow)


def restored(tx: Session, flow: Flow) -> None:
    """A revert has ended: its snapshot may be used again, unless its status was set meanwhile."""
    snapshot = tx.get(Snapshot, flow.payload["snapshot_id"], with_for_update=True)
    if snapshot is not None and snapshot.status == RESTORING:
        snapshot.status = AVAILABLE


def _leave_destroy(tx: Session, flow: Flow, volume: Volume) -> None:
    """A create that is being undone may have left its object where it was placed last."""
    ctx = journal.results(tx, flow)
    if capacity.claimed_pool(tx, flow.id) is None:
        return
    op: dict[str, Any] = {
        "verb": "destroy",
        "backend": ctx["backend"],
        "pool": ctx["pool"],
        "object": object_name(volume.id, ctx["generation"]),
        "volume_id": volume.id,
        "size_gib": volume.size,
        "spec": {},
    }
    residues.leave(tx, flow, ctx["node"], op, "superseded while it was being undone")
    volume.host = None


def _leave_release(tx: Session, flow: Flow, row: Volume | Snapshot) -> None:
    """What was on the storage before it was to be managed must not go with the row."""
    ctx = journal.results(tx, flow)
    reference = flow.payload["reference"]
    op: dict[str, Any] = {
        "verb": "release",
        "backend": ctx["backend"],
        "pool": ctx["pool"],
        "object": row.object_name,
        "volume_id": flow.payload.get("volume_id", row.id),
        "size_gib": 0,
        "spec": {},
        "reference": reference,
    }
    residues.leave(tx, flow, ctx["node"], op, "superseded while it was to be managed")
    if isinstance(row, Volume):
        row.host = None


def forget_node(tx: Session, host: str) -> int:
    """Declare a node gone for good; returns how many residues were written off. Raises NotFound.

    Deletes that wait for the node end here: what they delete went with it.
    """
    node = tx.get(Node, host, with_for_update=True)
    if node is None:
        raise NotFound(f"Node {host} could not be found.")
    node.state = FORGOTTEN
    left = tx.scalars(select(Residue).where(Residue.host == host)).all()
    for residue in left:
        write_off(tx, residue)
    return len(left)


def write_off(tx: Session, residue: Residue) -> None:
    """End a residue whose node is gone for good, and the flow that waited for it."""
    flow = tx.get(Flow, residue.flow_id, with_for_update=True)
    if flow is not None and flow.state == PARKED and residue.resume:
        flow.state = SUPERSEDED
        holds.release(tx, flow.id)
        row = locked(tx, OWNABLE[flow.noun], residue.volume_id)
        if row is not None and flow.kind == f"{flow.noun}.delete" and row.flow_id is None:
            remove(tx, row)
        elif isinstance(row, Attachment) and row.flow_id is None:
            attachments.remove(tx, row, attachments.locked_volume(tx, row.volume_id))
        elif isinstance(row, Volume):
            quota.give_back_growth(tx, row)
    capacity.settle(tx, residue)


def remove(tx: Session, row: Ownable) -> None:
    """Remove a row with all that it was charged and all that it held."""
    if isinstance(row, Volume | Snapshot):
        quota.give_back(tx, row)
        capacity.free(tx, row)
    tx.delete(row)
