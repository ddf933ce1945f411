"""Unmanage a volume: it stays on the storage, and is ours no more. The pivot is the node's step."""

from sqlalchemy import select

from db import attachments, capacity, quota, residues
from db.models import Snapshot, Volume
from db.transitions import ATTACHED, ERROR_UNMANAGING, UNMANAGING, NotFound, let_go, owned, take
from tasks.definition import FlowDefinition, NodeOrder, Results, Run
from tasks.manageable import giving_up
from tasks.parking import StatusParking
from tasks.placement import place_to_clear
from tasks.refusals import Refused

unmanage_volume = FlowDefinition(
    "volume.unmanage",
    admission="extract",
    pivot="release",
    undo_clean_pivot=True,
    parking=StatusParking(ERROR_UNMANAGING, UNMANAGING),
)


@unmanage_volume.step()
def extract(run: Run) -> Results:
    """Take the volume, which nothing else may depend on. Admission ends here."""
    volume, previous = take(run.tx, Volume, run.flow.resource_id, "volume.unmanage", run.flow)
    if not volume.visible:
        raise NotFound(f"Volume {volume.id} could not be found.")
    _refuse_dependents(run, volume)
    residues.drop_resumable(run.tx, volume)
    return {
        "previous_status": previous,
        "object": volume.object_name,
        "size_gib": volume.size,
        **place_to_clear(run.tx, volume.host),
    }


@extract.compensation
def restore_status(run: Run) -> Results:
    """The volume is what it was."""
    volume = owned(run.tx, Volume, run.flow)
    if volume is not None:
        let_go(volume, run.ctx["previous_status"])
    return None


@unmanage_volume.node_step()
def release(run: Run) -> NodeOrder | None:
    """Have the node give the object a name that is not ours."""
    return giving_up(run, run.flow.resource_id)


@unmanage_volume.step()
def finish(run: Run) -> Results:
    """Remove the row, with what it was charged and what it held in its pool."""
    volume = owned(run.tx, Volume, run.flow)
    if volume is not None:
        quota.give_back(run.tx, volume)
        capacity.hand_over(run.tx, volume)
        run.tx.delete(volume)
    return None


def _refuse_dependents(run: Run, volume: Volume) -> None:
    """What is attached, in a group, encrypted or has snapshots cannot leave, as in Cinder."""
    snapshots = select(Snapshot.id).where(Snapshot.volume_id == volume.id).limit(1)
    reason = None
    if volume.attach_status == ATTACHED or attachments.of_volume(run.tx, volume.id):
        reason = "must not have attachments"
    elif volume.group_id is not None:
        reason = "must not be part of a group"
    elif volume.encryption_key_id is not None:
        reason = "must not be encrypted"
    elif run.tx.scalar(snapshots) is not None:
        reason = "must not have snapshots"
    if reason is not None:
        raise Refused(400, f"Invalid volume: Volume {volume.id} {reason}.")
