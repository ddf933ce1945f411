"""Delete a group snapshot with all of its snapshots."""

from db import groups, holds
from db.models import GroupSnapshot, Snapshot
from db.transitions import ERROR, TRANSITIONS, NotFound, let_go, owned, take
from tasks.definition import Child, FlowDefinition, Results, Run
from tasks.refusals import Refused

delete_group_snapshot = FlowDefinition("group_snapshot.delete", admission="extract", pivot="finish")


@delete_group_snapshot.step()
def extract(run: Run) -> Results:
    """Take it, and begin the deletes of its snapshots. Admission ends here.

    There is no compensation: the pivot comes next, so nothing can ask for one.
    """
    taken, _ = take(run.tx, GroupSnapshot, run.flow.resource_id, "group_snapshot.delete", run.flow)
    if not taken.visible:
        raise NotFound(f"GroupSnapshot {taken.id} could not be found.")
    for snapshot in groups.snapshots(run.tx, taken.id):
        _refuse_undeletable(run, snapshot)
        run.children.append(Child("snapshot.delete", snapshot.id, {}))
    return None


@delete_group_snapshot.step()
def finish(run: Run) -> Results:
    """Remove the row; with a snapshot that could not go it is in error."""
    group_snapshot = owned(run.tx, GroupSnapshot, run.flow)
    if group_snapshot is None:
        return None
    left = groups.snapshots(run.tx, group_snapshot.id)
    if left:
        let_go(group_snapshot, ERROR)
        return {"left": [snapshot.id for snapshot in left[:20]]}
    run.tx.delete(group_snapshot)
    return None


def _refuse_undeletable(run: Run, snapshot: Snapshot) -> None:
    """A delete begins only if it can end: each snapshot may be deleted as things are."""
    free = snapshot.flow_id is None and TRANSITIONS["snapshot.delete"].permits(snapshot.status)
    if not free or holds.of_others(run.tx, snapshot.id, run.flow) is not None:
        raise Refused(
            400,
            f"Invalid GroupSnapshot: GroupSnapshot {run.flow.resource_id} cannot be deleted: its "
            f"snapshot {snapshot.id} is in use (status '{snapshot.status}').",
        )
