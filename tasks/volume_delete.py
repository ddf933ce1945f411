"""Delete a volume. The pivot is the node's step: what has begun to be destroyed stays so."""

from collections.abc import Sequence

from sqlalchemy import select

from db import attachments, holds, residues
from db.models import Snapshot, Volume
from db.overrides import fenced, remove
from db.transitions import (
    ATTACHED,
    DELETING,
    ERROR_DELETING,
    TRANSITIONS,
    NotFound,
    let_go,
    owned,
    take,
)
from tasks.definition import Child, FlowDefinition, NodeOrder, Results, Run
from tasks.parking import StatusParking
from tasks.placement import place_to_clear
from tasks.refusals import Refused

delete_volume = FlowDefinition(
    "volume.delete",
    admission="extract",
    pivot="destroy",
    parking=StatusParking(ERROR_DELETING, DELETING),
)


@delete_volume.step()
def extract(run: Run) -> Results:
    """Take the volume for deletion; with force, from whatever works on it. Admission ends here.

    With `cascade` the deletes of its snapshots begin here too, and the next step waits for them.
    """
    force, cascade = (bool(run.flow.payload.get(name)) for name in ("force", "cascade"))
    if force:
        attachments.lock_flows(run.tx, run.flow.resource_id)
    volume = fenced(run.tx, Volume, run.flow.resource_id) if force else _visible(run)
    action = "volume.force_delete" if force else "volume.delete"
    volume, _ = take(run.tx, Volume, volume.id, action, run.flow)
    if volume.attach_status == ATTACHED:
        raise Refused(400, f"Invalid volume: Volume {volume.id} must not be attached.")
    if volume.group_id is not None and run.flow.parent_id is None:
        raise Refused(400, f"Invalid volume: Volume {volume.id} must not be part of a group.")
    _clear_attachments(run, volume, force=force)
    snapshots = _snapshots(run)
    if snapshots and not cascade:
        raise Refused(
            400,
            f"Invalid volume: Volume {volume.id} must not have snapshots, and has "
            f"{len(snapshots)}; delete them first, or the volume with 'cascade'.",
        )
    for snapshot in snapshots:
        _refuse_undeletable(run, snapshot, force=force)
        run.children.append(Child("snapshot.delete", snapshot.id, {"force": force}))
    residues.drop_resumable(run.tx, volume)
    return {
        "object": volume.object_name,
        "size_gib": volume.size,
        **place_to_clear(run.tx, volume.host),
    }


@extract.compensation
def give_up(run: Run) -> Results:
    """The volume is there still, and its owner sees that it could not be deleted."""
    volume = owned(run.tx, Volume, run.flow)
    if volume is not None:
        let_go(volume, ERROR_DELETING)
    return None


@delete_volume.step()
def check_snapshots(run: Run) -> Results:
    """Go on only without snapshots: one that could not be deleted needs the volume still."""
    left = _snapshots(run)
    if left:
        ids = ", ".join(snapshot.id for snapshot in left[:10])
        raise Refused(409, f"{len(left)} snapshots could not be deleted: {ids}.")
    return None


@delete_volume.node_step()
def destroy(run: Run) -> NodeOrder | None:
    """Destroy the volume's object on its node; a volume that never had a node has none."""
    if run.ctx.get("node") is None:
        return None
    return NodeOrder(
        run.ctx["node"],
        {
            "verb": "destroy",
            "backend": run.ctx["backend"],
            "pool": run.ctx["pool"],
            "object": run.ctx["object"],
            "volume_id": run.flow.resource_id,
            "size_gib": run.ctx["size_gib"],
            "spec": {},
        },
    )


@delete_volume.step()
def finish(run: Run) -> Results:
    """Remove the row, with what it was charged and what it held in its pool."""
    volume = owned(run.tx, Volume, run.flow)
    if volume is not None:
        remove(run.tx, volume)
    return None


def _visible(run: Run) -> Volume:
    volume = run.tx.get(Volume, run.flow.resource_id)
    if volume is None or not volume.visible:
        raise NotFound(f"Volume {run.flow.resource_id} could not be found.")
    return volume


def _clear_attachments(run: Run, volume: Volume, *, force: bool) -> None:
    """Refuse while it is reserved for a host, or being given to one; with force end that."""
    if force:
        attachments.drop_all(run.tx, volume, run.flow.request_id)
    elif attachments.of_volume(run.tx, volume.id):
        raise Refused(400, f"Invalid volume: Volume {volume.id} must not have attachments.")


def _snapshots(run: Run) -> Sequence[Snapshot]:
    of_volume = select(Snapshot).where(Snapshot.volume_id == run.flow.resource_id)
    return run.tx.scalars(of_volume.order_by(Snapshot.id)).all()


def _refuse_undeletable(run: Run, snapshot: Snapshot, *, force: bool) -> None:
    """A cascade begins only if it can end: each snapshot may be deleted as things are."""
    free = snapshot.flow_id is None and TRANSITIONS["snapshot.delete"].permits(snapshot.status)
    in_group = snapshot.group_snapshot_id is not None
    held = holds.of_others(run.tx, snapshot.id, run.flow) is not None
    if in_group or held or not (free or force):
        raise Refused(
            400,
            f"Invalid volume: Volume {run.flow.resource_id} cannot be deleted with its snapshots: "
            f"snapshot {snapshot.id} (status '{snapshot.status}') is in use"
            f"{' by a group snapshot' if in_group else ''}.",
        )
