"""Manage a volume: take over one that is on the storage already, as it is."""

from db import capacity, holds, quota
from db.models import Base, Volume, object_name, utcnow
from db.pools import pool_states
from db.transitions import AVAILABLE, ERROR_MANAGING, MANAGING, change_owned, let_go, owned
from scheduler.decide import decide
from scheduler.filters.capabilities import CapabilitiesFilter
from scheduler.state import ScheduleRequest
from tasks.definition import FlowDefinition, NodeOrder, Results, Run
from tasks.manageable import adoption, managing_pool, placed_in
from tasks.refusals import Refused
from tasks.volume_create import find_type

manage_volume = FlowDefinition("volume.manage", admission="db_entry")


@manage_volume.step()
def extract(run: Run) -> Results:
    """Find the pool and the type, which the pool must suit, and hold the type."""
    pool = managing_pool(run, run.flow.payload["host"])
    volume_type = find_type(run, run.flow.payload.get("volume_type"))
    _refuse_misfit(run, pool.name, volume_type.extra_specs)
    holds.take(run.tx, run.flow.id, volume_type.id)
    return {"type_id": volume_type.id, **placed_in(pool)}


@extract.compensation
def release_holds(run: Run) -> Results:
    """The type may go again."""
    holds.release(run.tx, run.flow.id)
    return None


@manage_volume.step()
def quota_reserve(run: Run) -> Results:
    """Reserve one volume, overall and of its type; its size is not known yet."""
    asked = quota.volume_deltas(1, 0, run.ctx["type_id"])
    defaults = quota.defaults(run.settings)
    quota.reserve(run.tx, run.flow.id, run.flow.project_id, asked, defaults)
    return None


@quota_reserve.compensation
def quota_release(run: Run) -> Results:
    """Release the reservation."""
    quota.release(run.tx, run.flow.id)
    return None


@manage_volume.step()
def db_entry(run: Run) -> Results:
    """Insert the volume's row, without a size; admission ends here."""
    flow, asked = run.flow, run.flow.payload
    zone = asked.get("availability_zone") or run.settings.api.default_availability_zone
    run.tx.execute(
        Base.metadata.tables["volumes"].insert(),
        {
            "id": flow.resource_id,
            "project_id": flow.project_id,
            "user_id": flow.user_id,
            "name": asked.get("name"),
            "description": asked.get("description"),
            "size": 0,
            "status": MANAGING,
            "visible": True,
            "volume_type_id": run.ctx["type_id"],
            "availability_zone": zone,
            "metadata": asked.get("metadata") or {},
            "bootable": bool(asked.get("bootable")),
            "host": run.ctx["host"],
            "created_at": flow.created_at,
            "flow_id": flow.id,
            "epoch": flow.epoch,
        },
    )
    return None


@db_entry.compensation
def remove_or_fail(run: Run) -> Results:
    """The row becomes `error_managing`, of no host: it has nothing there that is to be deleted."""
    volume = owned(run.tx, Volume, run.flow)
    if volume is not None and run.flow.admitted:
        volume.host = None
        let_go(volume, ERROR_MANAGING)
    elif volume is not None:
        run.tx.delete(volume)
    return None


@manage_volume.node_step()
def adopt(run: Run) -> NodeOrder:
    """Have the node give the object our name, and tell its size."""
    return adoption(run, "adopt", object_name(run.flow.resource_id, 0), run.flow.resource_id)


@adopt.node_compensation
def release(run: Run) -> NodeOrder:
    """Give the object its own name back."""
    return adoption(run, "release", object_name(run.flow.resource_id, 0), run.flow.resource_id)


@manage_volume.step()
def finish(run: Run) -> Results:
    """The volume is available: its GiB are charged, and allocated in its pool."""
    flow, size = run.flow, run.ctx["size_gib"]
    asked = quota.volume_deltas(0, size, run.ctx["type_id"])
    quota.reserve(run.tx, flow.id, flow.project_id, asked, quota.defaults(run.settings), size)
    quota.commit(run.tx, flow.id)
    change_owned(
        run.tx,
        flow,
        size=size,
        charged_count=1,
        charged_gib=size,
        charged_type_id=run.ctx["type_id"],
        provider_location=run.ctx["provider_location"],
        launched_at=utcnow(),
    )
    volume = owned(run.tx, Volume, flow)
    if volume is not None:
        capacity.take_over(run.tx, volume, run.ctx["pool_id"], size)
        let_go(volume, AVAILABLE)
    holds.release(run.tx, flow.id)
    return None


def _refuse_misfit(run: Run, pool_name: str, extra_specs: dict[str, str]) -> None:
    """The pool must have what the type asks for; it has the room already."""
    request = ScheduleRequest(run.flow.resource_id, 0, extra_specs=extra_specs, only_pool=pool_name)
    pools = pool_states(run.tx, run.settings)
    for verdict in decide(pools, request, [CapabilitiesFilter()], []).verdicts:
        raise Refused(400, f"Invalid volume type: {pool_name} {verdict.reason}.")
