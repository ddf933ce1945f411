"""Unmanage a snapshot: it stays on the storage, and is ours no more. Its pivot is the node's."""

from db import capacity, quota, residues
from db.models import Snapshot, Volume
from db.transitions import ERROR_UNMANAGING, UNMANAGING, NotFound, let_go, owned, take
from tasks.definition import FlowDefinition, NodeOrder, Results, Run
from tasks.manageable import giving_up
from tasks.parking import StatusParking
from tasks.placement import place_of_snapshot
from tasks.refusals import Refused

unmanage_snapshot = FlowDefinition(
    "snapshot.unmanage",
    admission="extract",
    pivot="release",
    undo_clean_pivot=True,
    parking=StatusParking(ERROR_UNMANAGING, UNMANAGING),
)


@unmanage_snapshot.step()
def extract(run: Run) -> Results:
    """Take the snapshot, which no group snapshot may depend on. Admission ends here."""
    snapshot, previous = take(run.tx, Snapshot, run.flow.resource_id, "snapshot.unmanage", run.flow)
    if not snapshot.visible:
        raise NotFound(f"Snapshot {snapshot.id} could not be found.")
    if snapshot.group_snapshot_id is not None:
        raise Refused(400, f"Invalid snapshot: Snapshot {snapshot.id} must not be part of a group.")
    residues.drop_resumable(run.tx, snapshot)
    volume = run.tx.get_one(Volume, snapshot.volume_id)
    return {
        "previous_status": previous,
        "object": snapshot.object_name,
        "volume_id": volume.id,
        "size_gib": snapshot.size,
        **place_of_snapshot(run.tx, snapshot, volume),
    }


@extract.compensation
def restore_status(run: Run) -> Results:
    """The snapshot is what it was."""
    snapshot = owned(run.tx, Snapshot, run.flow)
    if snapshot is not None:
        let_go(snapshot, run.ctx["previous_status"])
    return None


@unmanage_snapshot.node_step()
def release(run: Run) -> NodeOrder | None:
    """Have the node give the object a name that is not ours."""
    return giving_up(run, run.ctx["volume_id"])


@unmanage_snapshot.step()
def finish(run: Run) -> Results:
    """Remove the row, with what it was charged and what it held in its pool."""
    snapshot = owned(run.tx, Snapshot, run.flow)
    if snapshot is not None:
        quota.give_back(run.tx, snapshot)
        capacity.hand_over(run.tx, snapshot)
        run.tx.delete(snapshot)
    return None
