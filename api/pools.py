"""Pools with their capacity: /scheduler-stats/get_pools."""

from typing import Any

from flask import request
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from api import links
from api.blueprint import Blueprint
from api.context import settings
from api.errors import ApiError
from api.microversion import at_least
from api.policy import authorize
from api.query import flag
from api.schemas.pools import PoolsAnswer
from api.topology import liveness, volume_service
from db.models import Backend, Node, Pool, VolumeType
from db.models.pool import FORGOTTEN
from db.pools import pool_states
from db.transactions import reading
from scheduler.decide import decide
from scheduler.filters.capabilities import CapabilitiesFilter
from scheduler.state import ScheduleRequest

blp = Blueprint("pools", __name__, description="Pools as the scheduler sees them")


@blp.get("/scheduler-stats/get_pools")
@blp.response(200, PoolsAnswer)
def get_pools() -> dict[str, Any]:
    """List pools, with `detail=true` their capacity in GiB; from 3.28 on by `name`.

    From 3.35 on also those whose capabilities are what `volume_type`, an id or a name, asks for.
    """
    authorize("scheduler_extension:scheduler_stats:get_pools")
    detail = flag("detail")
    query = (
        select(Pool, Backend, Node)
        .join(Backend, Backend.name == Pool.backend)
        .join(Node, Node.host == Pool.host)
        .where(Pool.present.is_(True), Node.state != FORGOTTEN)
        .order_by(Pool.name)
    )
    if at_least(28) and "name" in request.args:
        query = query.where(Pool.name == request.args["name"])
    with reading() as tx:
        alive = liveness(tx)
        fitting = _fitting(tx) if at_least(35) and "volume_type" in request.args else None
        return {
            "pools": [
                {"name": pool.name, "capabilities": _capabilities(pool, backend, up)}
                if detail
                else {"name": pool.name}
                for pool, backend, up in (
                    (pool, backend, volume_service(backend, node, alive).up)
                    for pool, backend, node in tx.execute(query)
                )
                if fitting is None or pool.name in fitting
            ]
        }


def _fitting(tx: Session) -> set[str]:
    """The names of the pools that a volume of the type asked for could be in, were there room."""
    wanted = request.args["volume_type"]
    found = tx.scalars(
        select(VolumeType).where(or_(VolumeType.id == wanted, VolumeType.name == wanted))
    ).first()
    if found is None:
        raise ApiError(404, f"Volume type {wanted} could not be found.")
    asked = ScheduleRequest("", 0, extra_specs=found.extra_specs)
    decision = decide(pool_states(tx, settings()), asked, [CapabilitiesFilter()], [])
    return {pool.name for pool in decision.candidates}


def _capabilities(pool: Pool, backend: Backend, up: bool) -> dict[str, Any]:
    """A pool in the v3 API's terms; `claim_limit_gb` is up to where claims are granted."""
    return {
        "storage_protocol": None,
        "vendor_name": "Breezeblock",
        "driver_version": None,
        **pool.capabilities,
        "pool_name": pool.name.partition("#")[2],
        "volume_backend_name": pool.capabilities.get(
            "volume_backend_name", backend.name.partition("@")[2]
        ),
        "driver": backend.driver,
        "backend_state": "up" if up else "down",
        "total_capacity_gb": pool.total_gib,
        "free_capacity_gb": pool.free_gib,
        "allocated_capacity_gb": pool.taken_gib,
        "provisioned_capacity_gb": pool.taken_gib,
        "claim_limit_gb": pool.limit_gib,
        "total_volumes": pool.volumes,
        "reserved_percentage": pool.reserved_percentage,
        "max_over_subscription_ratio": str(pool.max_over_subscription_ratio),
        "thin_provisioning_support": pool.thin,
        "thick_provisioning_support": pool.thick,
        "timestamp": links.time_text(pool.updated_at),
    }
