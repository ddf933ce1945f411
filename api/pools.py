"""Pools with their capacity: /scheduler-stats/get_pools."""

from typing import Any

from flask import request
from sqlalchemy import select

from api import links
from api.auth import require_admin
from api.blueprint import Blueprint
from api.microversion import at_least
from api.query import flag
from api.schemas.pools import PoolsAnswer
from api.topology import liveness, volume_service
from db.models import Backend, Node, Pool
from db.models.pool import FORGOTTEN
from db.transactions import reading

blp = Blueprint("pools", __name__, description="Pools as the scheduler sees them")


@blp.get("/scheduler-stats/get_pools")
@blp.response(200, PoolsAnswer)
def get_pools() -> dict[str, Any]:
    """List pools, with `detail=true` their capacity in GiB; from 3.28 on by `name`."""
    require_admin("scheduler_extension:scheduler_stats:get_pools")
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
        return {
            "pools": [
                {"name": pool.name, "capabilities": _capabilities(pool, backend, up)}
                if detail
                else {"name": pool.name}
                for pool, backend, up in (
                    (pool, backend, volume_service(backend, node, alive).up)
                    for pool, backend, node in tx.execute(query)
                )
            ]
        }


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
