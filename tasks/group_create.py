"""Create a group on one backend; made from a group or its snapshot, with copies of its volumes."""

from typing import Any

from sqlalchemy import select

from config.routing import SCHEDULER
from db import groups, holds, quota
from db.models import Base, Group, GroupSnapshot, GroupType, Snapshot, Volume, VolumeType, new_id
from db.pools import pool_states
from db.transitions import AVAILABLE, CREATING, ERROR, let_go, owned
from scheduler.decide import Verdict, decide, no_valid_backend
from scheduler.plugins import load_filters, load_weighers
from scheduler.state import ScheduleRequest
from tasks.children import outcomes
from tasks.definition import Child, FlowDefinition, Results, Run
from tasks.refusals import Refused
from tasks.volume_create import find_type

MOST_VERDICTS = 50
"""How many pools' verdicts a flow keeps."""

create_group = FlowDefinition("group.create", admission="quota_commit")


@create_group.step()
def extract(run: Run) -> Results:
    """Resolve the types, or what the group is made from, and hold all of it."""
    asked = run.flow.payload
    if asked.get("group_snapshot_id"):
        snapshot = groups.hold(run.tx, GroupSnapshot, asked["group_snapshot_id"], run.flow)
        return _like(run, run.tx.get_one(Group, snapshot.group_id))
    if asked.get("source_group_id"):
        return _like(run, groups.hold(run.tx, Group, asked["source_group_id"], run.flow))
    group_type = run.tx.get(GroupType, asked["group_type"], with_for_update={"read": True})
    if group_type is None:
        raise Refused(404, f"Group Type {asked['group_type']} could not be found.")
    holds.take(run.tx, run.flow.id, group_type.id)
    types = {found.id for found in (find_type(run, name) for name in asked["volume_types"])}
    for type_id in types:
        holds.take(run.tx, run.flow.id, type_id)
    return {"group_type_id": group_type.id, "type_ids": sorted(types), "host": None}


@extract.compensation
def release_holds(run: Run) -> Results:
    """Release what the request referred to."""
    holds.release(run.tx, run.flow.id)
    return None


@create_group.step()
def quota_reserve(run: Run) -> Results:
    """Reserve one group; its volumes are charged one by one."""
    asked = quota.group_deltas(1)
    defaults = quota.defaults(run.settings)
    quota.reserve(run.tx, run.flow.id, run.flow.project_id, asked, defaults)
    return None


@quota_reserve.compensation
def quota_release(run: Run) -> Results:
    """Release the reservation, if it was not committed meanwhile."""
    quota.release(run.tx, run.flow.id)
    return None


@create_group.step()
def db_entry(run: Run) -> Results:
    """Insert the group's row with its volume types; users do not see it until it is admitted."""
    flow, asked, tables = run.flow, run.flow.payload, Base.metadata.tables
    run.tx.execute(
        tables["groups"].insert(),
        {
            "id": flow.resource_id,
            "project_id": flow.project_id,
            "user_id": flow.user_id,
            "name": asked.get("name"),
            "description": asked.get("description"),
            "status": CREATING,
            "group_type_id": run.ctx["group_type_id"],
            "availability_zone": asked.get("availability_zone")
            or run.settings.api.default_availability_zone,
            "host": run.ctx["host"],
            "group_snapshot_id": asked.get("group_snapshot_id"),
            "source_group_id": asked.get("source_group_id"),
            "replication_status": "disabled",
            "created_at": flow.created_at,
            "flow_id": flow.id,
            "epoch": flow.epoch,
        },
    )
    links = [
        {"group_id": flow.resource_id, "volume_type_id": type_id} for type_id in run.ctx["type_ids"]
    ]
    run.tx.execute(tables["group_volume_types"].insert(), links)
    return None


@db_entry.compensation
def remove_or_fail(run: Run) -> Results:
    """The row becomes `error`; if the request was never admitted, it goes."""
    group = owned(run.tx, Group, run.flow)
    if group is not None and run.flow.admitted:
        let_go(group, ERROR)
    elif group is not None:
        run.tx.delete(group)
    return None


@create_group.step()
def quota_commit(run: Run) -> Results:
    """Turn the reservation into usage and write on the row what it was charged; admission ends."""
    quota.commit(run.tx, run.flow.id)
    group = _mine(run)
    group.charged_count, group.visible = 1, True
    return None


@quota_commit.compensation
def quota_give_back(run: Run) -> Results:
    """Give back what the row says was charged."""
    group = owned(run.tx, Group, run.flow)
    if group is not None:
        quota.give_back(run.tx, group)
    return None


@create_group.step(SCHEDULER)
def schedule(run: Run) -> Results:
    """Choose the backend for all volumes of the group; copies stay where their sources are."""
    if run.ctx["host"]:
        return None
    chosen = _best_backend(run)
    _mine(run).host = chosen
    return {"host": chosen}


@create_group.step()
def copy_volumes(run: Run) -> Results:
    """Begin a volume for each of the source's, and wait for all of them."""
    run.children.extend(_copies(run))
    return None


@create_group.step()
def finish(run: Run) -> Results:
    """The group is available if all of its volumes are; else it is in error, with what there is."""
    whole = all(state == "succeeded" for state in outcomes(run).values())
    let_go(_mine(run), AVAILABLE if whole else ERROR)
    holds.release(run.tx, run.flow.id)
    return None


def _mine(run: Run) -> Group:
    group = owned(run.tx, Group, run.flow)
    if group is None:
        raise Refused(409, f"Group {run.flow.resource_id} is no longer this flow's.")
    return group


def _like(run: Run, group: Group) -> Results:
    """A group of the same types on the same backend as another, which has volumes."""
    if not _sources(run):
        raise Refused(
            400, f"Invalid Group: Source group {group.id} has nothing to make volumes from."
        )
    types = groups.type_ids(run.tx, group.id)
    return {"group_type_id": group.group_type_id, "type_ids": types, "host": group.host}


def _sources(run: Run) -> list[Snapshot | Volume]:
    asked = run.flow.payload
    if asked.get("group_snapshot_id"):
        return list(groups.snapshots(run.tx, asked["group_snapshot_id"]))
    query = select(Volume).where(Volume.group_id == asked["source_group_id"]).order_by(Volume.id)
    return list(run.tx.scalars(query))


def _copies(run: Run) -> list[Child]:
    asked = run.flow.payload
    if not (asked.get("group_snapshot_id") or asked.get("source_group_id")):
        return []
    return [Child("volume.create", new_id(), _copy(run, source)) for source in _sources(run)]


def _copy(run: Run, source: Snapshot | Volume) -> dict[str, Any]:
    origin = "snapshot_id" if isinstance(source, Snapshot) else "source_volid"
    return {
        "size_gib": source.size,
        "name": source.name,
        "description": source.description,
        "volume_type": source.volume_type_id,
        "metadata": source.meta,
        origin: source.id,
        "group_id": run.flow.resource_id,
        "is_admin": run.flow.payload.get("is_admin", False),
    }


def _best_backend(run: Run) -> str:
    """The best backend that has a pool for every type. Raises Refused."""
    filters = load_filters(run.settings.scheduler.filters)
    weighers = load_weighers(run.settings.scheduler.weighers)
    pools = pool_states(run.tx, run.settings)
    ranked = [f"{pool.host}@{pool.backend}" for pool in pools]
    group_type = run.tx.get_one(GroupType, run.ctx["group_type_id"])
    for type_id in run.ctx["type_ids"]:
        extra_specs = run.tx.get_one(VolumeType, type_id).extra_specs
        request = ScheduleRequest(
            volume_id=run.flow.resource_id,
            size_gib=0,
            availability_zone=run.flow.payload.get("availability_zone"),
            extra_specs={**extra_specs, **group_type.group_specs},
        )
        decision = decide(pools, request, filters, weighers)
        fitting = [f"{pool.host}@{pool.backend}" for pool in decision.candidates]
        ranked = [backend for backend in fitting if backend in ranked]
        if not ranked:
            raise _no_backend(request, decision.verdicts)
    return ranked[0]


def _no_backend(request: ScheduleRequest, verdicts: list[Verdict]) -> Refused:
    return Refused(
        500,
        no_valid_backend(request, verdicts),
        type="NoValidBackend",
        public="No valid backend was found for the group's types.",
        pools=[verdict.as_json() for verdict in verdicts[:MOST_VERDICTS]],
    )
