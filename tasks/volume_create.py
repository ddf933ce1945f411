"""Create a volume: the seven-step chain, each step with its compensation beside it."""

from typing import Any

from sqlalchemy import select

from config.routing import SCHEDULER
from db import capacity, groups, holds, quota, volume_types
from db.models import (
    Base,
    Group,
    Node,
    Volume,
    VolumeType,
    VolumeTypeAccess,
    object_name,
    utcnow,
)
from db.models.pool import FORGOTTEN
from db.pools import pool_states
from db.transitions import AVAILABLE, CREATING, ERROR, change_owned, let_go, owned
from scheduler.decide import decide, no_valid_backend
from scheduler.plugins import load_filters, load_weighers
from scheduler.provisioning import wanted
from scheduler.state import PoolState, ScheduleRequest
from tasks import volume_source
from tasks.definition import FlowDefinition, NodeOrder, Results, Run
from tasks.message import Operation
from tasks.refusals import Refused

MOST_VERDICTS = 50
"""How many pools' verdicts a flow keeps; the summary counts all of them."""

MOST_DECISIONS = 20
"""Each one more means that others were quicker everywhere, which cannot go on for long."""

NO_SOURCE: dict[str, Any] = {"availability_zone": None, "bootable": False, "image_meta": {}}

create_volume = FlowDefinition("volume.create", admission="quota_commit", retry_from="schedule")


@create_volume.step()
def extract(run: Run) -> Results:
    """Resolve what the request refers to, and hold its type and its source against deletion."""
    asked = run.flow.payload
    origin = volume_source.find(run)
    if asked.get("image_ref"):
        raise Refused(400, "Invalid image: this installation has no image service configured.")
    size = volume_source.size(asked.get("size_gib"), origin)
    zone = asked.get("availability_zone")
    if zone and not _zone_exists(run, zone):
        raise Refused(400, f"Availability zone '{zone}' is invalid: no storage node is in it.")
    inherited = origin.type_id if origin else None
    volume_type = find_type(run, asked.get("volume_type") or inherited)
    group = _group(run, volume_type)
    if origin is not None:
        volume_source.refuse_other_backend(run, origin, volume_type)
        volume_source.refuse_other_zone(origin, zone)
    holds.take(run.tx, run.flow.id, volume_type.id)
    return {
        "size_gib": size,
        "type_id": volume_type.id,
        "extra_specs": volume_type.extra_specs,
        "multiattach": _multiattach(run, volume_type),
        "zone": zone,
        "source": origin.as_json() if origin else None,
        "group_backend": group.host if group else None,
    }


@extract.compensation
def release_holds(run: Run) -> Results:
    """Release what the request referred to."""
    holds.release(run.tx, run.flow.id)
    return None


@create_volume.step()
def quota_reserve(run: Run) -> Results:
    """Reserve one volume and its GiB, overall and of its type."""
    size = run.ctx["size_gib"]
    asked = quota.volume_deltas(1, size, run.ctx["type_id"])
    quota.reserve(
        run.tx, run.flow.id, run.flow.project_id, asked, quota.defaults(run.settings), size
    )
    return None


@quota_reserve.compensation
def quota_release(run: Run) -> Results:
    """Release the reservation, if it was not committed meanwhile."""
    quota.release(run.tx, run.flow.id)
    return None


@create_volume.step()
def db_entry(run: Run) -> Results:
    """Insert the volume's row; users do not see it until the request is admitted."""
    run.tx.execute(Base.metadata.tables["volumes"].insert(), first_row(run))
    return None


def _multiattach(run: Run, volume_type: VolumeType) -> bool:
    """Whether several hosts may have the volume, which policy may forbid to this user."""
    if volume_type.multiattach and not run.flow.payload.get("may_multiattach", True):
        raise Refused(403, "Policy doesn't allow volume:multiattach to be performed.")
    return volume_type.multiattach


def first_row(run: Run) -> dict[str, Any]:
    """The columns of a volume that begins to be made."""
    flow, asked = run.flow, run.flow.payload
    source = run.ctx["source"] or NO_SOURCE
    zone = run.ctx["zone"] or source["availability_zone"]
    return {
        "id": flow.resource_id,
        "project_id": flow.project_id,
        "user_id": flow.user_id,
        "name": asked.get("name"),
        "description": asked.get("description"),
        "size": run.ctx["size_gib"],
        "status": CREATING,
        "volume_type_id": run.ctx["type_id"],
        "availability_zone": zone or run.settings.api.default_availability_zone,
        "metadata": asked.get("metadata") or {},
        "snapshot_id": asked.get("snapshot_id"),
        "source_volid": asked.get("source_volid"),
        "group_id": asked.get("group_id"),
        "bootable": source["bootable"],
        "image_metadata": source["image_meta"],
        "multiattach": run.ctx["multiattach"],
        "created_at": flow.created_at,
        "flow_id": flow.id,
        "epoch": flow.epoch,
    }


@db_entry.compensation
def remove_or_fail(run: Run) -> Results:
    """The row becomes `error`; if the request was never admitted, it goes."""
    volume = owned(run.tx, Volume, run.flow)
    if volume is not None and run.flow.admitted:
        let_go(volume, ERROR)
    elif volume is not None:
        run.tx.delete(volume)
    return None


@create_volume.step()
def quota_commit(run: Run) -> Results:
    """Turn the reservation into usage and write on the row what it was charged; admission ends."""
    quota.commit(run.tx, run.flow.id)
    change_owned(
        run.tx,
        run.flow,
        charged_count=1,
        charged_gib=run.ctx["size_gib"],
        charged_type_id=run.ctx["type_id"],
        visible=True,
    )
    return None


@quota_commit.compensation
def quota_give_back(run: Run) -> Results:
    """Give back what the row says was charged."""
    volume = owned(run.tx, Volume, run.flow)
    if volume is not None:
        quota.give_back(run.tx, volume)
    return None


@create_volume.step(SCHEDULER)
def schedule(run: Run) -> Results:
    """Choose a pool and claim the capacity there; a claim lost to another flow tries the next."""
    source = run.ctx["source"]
    request = ScheduleRequest(
        volume_id=run.flow.resource_id,
        size_gib=run.ctx["size_gib"],
        availability_zone=run.ctx["zone"],
        extra_specs=run.ctx["extra_specs"],
        # a volume that is made from another has no other place to be tried in
        excluded_hosts=frozenset() if source else frozenset(run.flow.excluded_hosts),
        source_pool=source["pool"] if source else None,
        group_backend=run.ctx.get("group_backend"),
    )
    chosen, passed_over = _claim_best(run, request)
    generation = run.flow.attempt - 1
    change_owned(
        run.tx,
        run.flow,
        host=chosen.name,
        generation=generation,
        availability_zone=run.ctx["zone"] or chosen.availability_zone,
    )
    return {
        "node": chosen.host,
        "backend": chosen.backend,
        "pool": chosen.pool,
        "generation": generation,
        "passed_over": passed_over,
    }


@schedule.compensation
def release_claim(run: Run) -> Results:
    """Release the claim, unless a residue has taken it over."""
    capacity.release(run.tx, run.flow.id)
    volume = owned(run.tx, Volume, run.flow)
    if volume is not None:
        volume.host = None
    return None


@create_volume.node_step()
def create(run: Run) -> NodeOrder:
    """Make the volume on the chosen node."""
    return _order(run, "create")


@create.node_compensation
def destroy(run: Run) -> NodeOrder:
    """Destroy what this flow made there."""
    return _order(run, "destroy")


@create_volume.step()
def finish(run: Run) -> Results:
    """The volume is available; its claim becomes an allocation, its holds end."""
    claim = capacity.take_claim(run.tx, run.flow.id)
    pool_id, gib, _ = claim or (None, 0, 0)
    change_owned(
        run.tx,
        run.flow,
        pool_id=pool_id,
        allocated_gib=gib,
        provider_location=run.ctx.get("provider_location"),
        launched_at=utcnow(),
        status=AVAILABLE,
        flow_id=None,
    )
    holds.release(run.tx, run.flow.id)
    return None


def _order(run: Run, verb: str) -> NodeOrder:
    ctx = run.ctx
    op: Operation = {
        "verb": verb,
        "backend": ctx["backend"],
        "pool": ctx["pool"],
        "object": object_name(run.flow.resource_id, ctx["generation"]),
        "volume_id": run.flow.resource_id,
        "size_gib": ctx["size_gib"],
        "spec": dict(ctx["extra_specs"]),
    }
    if verb == "create" and ctx["source"]:
        op["source"] = volume_source.as_source(ctx["source"])
    return NodeOrder(ctx["node"], op)


def find_type(run: Run, wanted: str | None) -> VolumeType:
    """The type by id or name, else the project's default or everybody's; locked until it is held.

    Raises Refused for one that the project may not use, and for an encrypted one: a volume without
    its key would be one in clear.
    """
    project, fallback = run.flow.project_id, run.settings.api.default_volume_type
    found = volume_types.asked_for(run.tx, wanted, project, fallback)
    if found is None or not (found.is_public or _may_use(run, found)):
        name = wanted or volume_types.default_of(run.tx, project) or fallback
        raise Refused(404, f"Volume type {name} could not be found.")
    if volume_types.is_encrypted(run.tx, found.id):
        raise Refused(
            400,
            f"Invalid volume type: {found.name} is encrypted, and this installation has no key "
            "manager to keep the keys.",
        )
    return found


def _group(run: Run, volume_type: VolumeType) -> Group | None:
    """The group that the volume is to be in, held. Raises Refused for a type that is not its."""
    group_id = run.flow.payload.get("group_id")
    if not group_id:
        return None
    group = groups.hold(run.tx, Group, group_id, run.flow)
    if volume_type.id not in groups.type_ids(run.tx, group.id):
        raise Refused(
            400,
            f"Invalid input received: Invalid volume_type provided: {volume_type.id}; requested "
            "type must be supported by this group.",
        )
    return group


def _may_use(run: Run, volume_type: VolumeType) -> bool:
    access = run.tx.get(VolumeTypeAccess, (volume_type.id, run.flow.project_id))
    return access is not None or bool(run.flow.payload.get("is_admin"))


def _zone_exists(run: Run, zone: str) -> bool:
    nodes = select(Node.host).where(Node.availability_zone == zone, Node.state != FORGOTTEN)
    return run.tx.scalar(nodes) is not None


def _claim_best(run: Run, request: ScheduleRequest) -> tuple[PoolState, list[dict[str, Any]]]:
    """Claim the best pool that still has room. Raises Refused with every pool's verdict.

    When others were quicker in every pool that seemed to have room, it is decided anew: one that
    was full at first may have room by now.
    """
    filters = load_filters(run.settings.scheduler.filters)
    weighers = load_weighers(run.settings.scheduler.weighers)
    thick = wanted(request.extra_specs) == "thick"
    lost: dict[str, dict[str, Any]] = {}
    for _ in range(MOST_DECISIONS):
        decision = decide(pool_states(run.tx, run.settings), request, filters, weighers)
        verdicts = [verdict.as_json() for verdict in decision.verdicts[:MOST_VERDICTS]]
        for pool in decision.candidates:
            size = request.size_gib
            if capacity.claim(run.tx, run.flow.id, pool.id, size, volumes=1, thick=thick):
                return pool, (verdicts + list(lost.values()))[:MOST_VERDICTS]
            lost[pool.name] = _lost_to_another(pool, size)
        if not decision.candidates:
            break
    raise Refused(
        500,
        no_valid_backend(request, decision.verdicts),
        type="NoValidBackend",
        public="No valid backend was found: none has room and what the volume type asks for.",
        pools=(verdicts + list(lost.values()))[:MOST_VERDICTS],
    )


def _lost_to_another(pool: PoolState, size_gib: int) -> dict[str, Any]:
    return {
        "pool": pool.name,
        "filter": "claim",
        "reason": "another request took the room first",
        "numbers": {"asked_gib": size_gib, "limit_gib": pool.limit_gib},
    }
