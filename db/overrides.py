"""Administrators' overrides: each fences the running flow, so nothing of it takes effect later."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from db import capacity, holds, journal, quota, residues
from db.models import Flow, Node, Residue, Volume, object_name
from db.models.flow import PARKED, SUPERSEDED, UNDOING
from db.models.pool import FORGOTTEN
from db.transitions import DELETING, ERROR, ERROR_DELETING, BeingDestroyed, NotFound


def reset_volume_status(tx: Session, volume_id: str, status: str) -> Volume:
    """Set a volume's status whatever it is (os-reset_status).

    Raises NotFound, or BeingDestroyed: the order to destroy it may wait on its node, where nothing
    can overtake it, so a volume that is being deleted cannot be declared usable.
    """
    usable = status not in (ERROR, ERROR_DELETING, DELETING)
    volume = fenced(tx, volume_id, for_use=usable)
    volume.status = status
    return volume


def fenced(tx: Session, volume_id: str, *, for_use: bool = False) -> Volume:
    """The volume, locked, with no flow at work on it: a running or parked one is superseded.

    Locks the flow before the volume, as the flow's own steps do. Raises NotFound, and
    BeingDestroyed for a volume that is wanted `for_use` while it is being deleted.
    """
    owner = tx.scalar(select(Volume.flow_id).where(Volume.id == volume_id))
    flow = journal.lock(tx, owner) if owner else None
    volume = tx.scalars(
        select(Volume)
        .where(Volume.id == volume_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).first()
    if volume is None:
        raise NotFound(f"Volume {volume_id} could not be found.")
    if flow is not None and volume.flow_id == flow.id:
        if for_use and flow.kind == "volume.delete":
            raise BeingDestroyed(volume_id)
        _supersede(tx, flow, volume)
    residues.drop_resumable(tx, volume)
    return volume


def _supersede(tx: Session, flow: Flow, volume: Volume) -> None:
    """End `flow`; what it has reserved goes back, what it has claimed stays with what may exist."""
    # the status is for the request that is not admitted yet
    message = "An administrator took the volume over."
    error = {"type": "Superseded", "status": 409, "message": message}
    journal.raise_epoch(tx, flow)
    volume.epoch = flow.epoch
    quota.release(tx, flow.id)
    if flow.kind == "volume.create" and flow.state == UNDOING:
        _leave_destroy(tx, flow, volume)
    capacity.allocate(tx, flow.id, volume)
    if flow.kind == "volume.extend":
        quota.give_back_growth(tx, volume)
    holds.release(tx, flow.id)
    journal.write(tx, flow, "supersede", "done", error=error)
    flow.error = error
    journal.end(tx, flow, SUPERSEDED)
    volume.flow_id = None


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


def forget_node(tx: Session, host: str) -> int:
    """Declare a node gone for good; returns how many residues were written off. Raises NotFound.

    Deletes that wait for the node end here: their volumes went with it.
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
    """End a residue whose node is gone for good, and the delete or extend that waited for it."""
    flow = tx.get(Flow, residue.flow_id, with_for_update=True)
    volume = tx.get(Volume, residue.volume_id, with_for_update=True)
    if flow is not None and flow.state == PARKED and residue.resume:
        flow.state = SUPERSEDED
        if volume is not None and flow.kind == "volume.delete" and volume.flow_id is None:
            remove_volume(tx, volume)
        elif volume is not None:
            quota.give_back_growth(tx, volume)
    capacity.settle(tx, residue)


def remove_volume(tx: Session, volume: Volume) -> None:
    """Remove a volume's row with all that it was charged and all that it held."""
    quota.give_back(tx, volume)
    capacity.free(tx, volume)
    tx.delete(volume)
