"""Delete a snapshot. The pivot is the node's step: what has begun to be destroyed stays so."""

from db import residues
from db.models import Snapshot, Volume
from db.overrides import fenced, remove
from db.transitions import DELETING, ERROR_DELETING, NotFound, owned, take
from tasks.definition import FlowDefinition, NodeOrder, Results, Run
from tasks.parking import StatusParking
from tasks.placement import place_of_snapshot
from tasks.refusals import Refused

delete_snapshot = FlowDefinition(
    "snapshot.delete",
    admission="extract",
    pivot="destroy",
    parking=StatusParking(ERROR_DELETING, DELETING),
)


@delete_snapshot.step()
def extract(run: Run) -> Results:
    """Take the snapshot for deletion; with force, from whatever works on it. Admission ends here.

    There is no compensation: the pivot comes next, so nothing can ask for one.
    """
    force = bool(run.flow.payload.get("force"))
    snapshot = fenced(run.tx, Snapshot, run.flow.resource_id) if force else _visible(run)
    if snapshot.group_snapshot_id is not None and run.flow.parent_id is None:
        raise Refused(400, f"Invalid snapshot: Snapshot {snapshot.id} must not be part of a group.")
    action = "snapshot.force_delete" if force else "snapshot.delete"
    snapshot, _ = take(run.tx, Snapshot, snapshot.id, action, run.flow)
    residues.drop_resumable(run.tx, snapshot)
    volume = run.tx.get_one(Volume, snapshot.volume_id)
    return {
        "volume_id": volume.id,
        "source": volume.object_name,
        "source_gib": volume.size,
        "size_gib": snapshot.size,
        "object": snapshot.object_name,
        **place_of_snapshot(run.tx, snapshot, volume),
    }


@delete_snapshot.node_step()
def destroy(run: Run) -> NodeOrder | None:
    """Destroy the snapshot's object on its volume's node; one that is gone has nothing to do."""
    ctx = run.ctx
    if ctx["node"] is None:
        return None
    return NodeOrder(
        ctx["node"],
        {
            "verb": "destroy_snapshot",
            "backend": ctx["backend"],
            "pool": ctx["pool"],
            "object": ctx["object"],
            "volume_id": ctx["volume_id"],
            "size_gib": ctx["size_gib"],
            "spec": {},
            "source": {"kind": "volume", "object": ctx["source"], "size_gib": ctx["source_gib"]},
        },
    )


@delete_snapshot.step()
def finish(run: Run) -> Results:
    """Remove the row, with what it was charged and what it held in its pool."""
    snapshot = owned(run.tx, Snapshot, run.flow)
    if snapshot is not None:
        remove(run.tx, snapshot)
    return None


def _visible(run: Run) -> Snapshot:
    snapshot = run.tx.get(Snapshot, run.flow.resource_id)
    if snapshot is None or not snapshot.visible:
        raise NotFound(f"Snapshot {run.flow.resource_id} could not be found.")
    return snapshot
