"""Take a snapshot of every volume of a group."""

from db import groups, holds
from db.models import Base, Group, GroupSnapshot, new_id
from db.transitions import AVAILABLE, CREATING, ERROR, IN_USE, let_go, owned
from tasks.children import outcomes
from tasks.definition import Child, FlowDefinition, Results, Run
from tasks.refusals import Refused

create_group_snapshot = FlowDefinition("group_snapshot.create", admission="db_entry")


@create_group_snapshot.step()
def extract(run: Run) -> Results:
    """Hold the group, whose volumes must be there and ready."""
    group_id = run.flow.payload["group_id"]
    group = groups.hold(run.tx, Group, group_id, run.flow)
    members = groups.volumes(run.tx, group_id)
    if not members:
        raise Refused(400, f"Invalid Group: Group {group_id} has no volumes to take snapshots of.")
    for volume in members:
        if volume.status not in (AVAILABLE, IN_USE):
            raise Refused(
                400,
                f"Invalid volume: Volume {volume.id} status must be {AVAILABLE} or {IN_USE}, but "
                f"current status is: {volume.status}.",
            )
    return {
        "group_type_id": group.group_type_id,
        "volumes": [volume.id for volume in members],
    }


@extract.compensation
def release_holds(run: Run) -> Results:
    """The group may change again."""
    holds.release(run.tx, run.flow.id)
    return None


@create_group_snapshot.step()
def db_entry(run: Run) -> Results:
    """Insert the row and begin the snapshots, which are charged one by one; admission ends."""
    flow, asked = run.flow, run.flow.payload
    run.tx.execute(
        Base.metadata.tables["group_snapshots"].insert(),
        {
            "id": flow.resource_id,
            "project_id": flow.project_id,
            "user_id": flow.user_id,
            "group_id": asked["group_id"],
            "group_type_id": run.ctx["group_type_id"],
            "name": asked.get("name"),
            "description": asked.get("description"),
            "status": CREATING,
            "visible": True,
            "created_at": flow.created_at,
            "flow_id": flow.id,
            "epoch": flow.epoch,
        },
    )
    run.children.extend(_snapshot(run, volume_id) for volume_id in run.ctx["volumes"])
    return None


@db_entry.compensation
def fail(run: Run) -> Results:
    """The row is in error, with the snapshots that there are."""
    group_snapshot = owned(run.tx, GroupSnapshot, run.flow)
    if group_snapshot is not None:
        let_go(group_snapshot, ERROR)
    return None


@create_group_snapshot.step()
def finish(run: Run) -> Results:
    """It is available if all of its snapshots are; else it is in error, with those there are."""
    group_snapshot = owned(run.tx, GroupSnapshot, run.flow)
    if group_snapshot is not None:
        whole = all(state == "succeeded" for state in outcomes(run).values())
        let_go(group_snapshot, AVAILABLE if whole else ERROR)
    holds.release(run.tx, run.flow.id)
    return None


def _snapshot(run: Run, volume_id: str) -> Child:
    asked = run.flow.payload
    payload = {
        "volume_id": volume_id,
        "name": asked.get("name"),
        "description": asked.get("description"),
        "force": True,
        "group_snapshot_id": run.flow.resource_id,
    }
    return Child("snapshot.create", new_id(), payload)
