"""Delete a group, with its volumes where that was asked for."""

from db import groups, quota
from db.models import Group, Volume
from db.transitions import ERROR, TRANSITIONS, NotFound, let_go, owned, take
from tasks.definition import Child, FlowDefinition, Results, Run
from tasks.refusals import Refused

delete_group = FlowDefinition("group.delete", admission="extract", pivot="finish")


@delete_group.step()
def extract(run: Run) -> Results:
    """Take the group, and begin the deletes of its volumes. Admission ends here.

    There is no compensation: the pivot comes next, so nothing can ask for one.
    """
    group, _ = take(run.tx, Group, run.flow.resource_id, "group.delete", run.flow)
    if not group.visible:
        raise NotFound(f"Group {group.id} could not be found.")
    if groups.has_snapshots(run.tx, group.id):
        raise Refused(400, f"Invalid Group: Group {group.id} still has dependent group snapshots.")
    members = groups.volumes(run.tx, group.id)
    if members and not run.flow.payload.get("delete_volumes"):
        raise Refused(
            400,
            f"Invalid Group: Group {group.id} still contains volumes. The delete-volumes flag is "
            "required to delete it.",
        )
    for volume in members:
        _refuse_undeletable(group, volume)
        run.children.append(Child("volume.delete", volume.id, {}))
    return None


@delete_group.step()
def finish(run: Run) -> Results:
    """Remove the row with what it was charged; with a volume that could not go it is in error."""
    group = owned(run.tx, Group, run.flow)
    if group is None:
        return None
    left = groups.volumes(run.tx, group.id)
    if left:
        let_go(group, ERROR)
        return {"left": [volume.id for volume in left[:20]]}
    quota.give_back(run.tx, group)
    run.tx.delete(group)
    return None


def _refuse_undeletable(group: Group, volume: Volume) -> None:
    """A delete begins only if it can end: each volume may be deleted as things are."""
    if volume.flow_id is None and TRANSITIONS["volume.delete"].permits(volume.status):
        return
    raise Refused(
        400,
        f"Invalid Group: Group {group.id} cannot be deleted: its volume {volume.id} is in use "
        f"(status '{volume.status}').",
    )
