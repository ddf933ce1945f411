"""Hosts and the volumes on them: /os-hosts."""

from typing import Any

from sqlalchemy import func, select

from api import links
from api.auth import require_admin
from api.blueprint import Blueprint
from api.errors import ApiError
from api.schemas.hosts import HostAnswer, HostsAnswer
from api.topology import services
from db.models import Pool, Volume
from db.transactions import reading

blp = Blueprint("hosts", __name__, description="Hosts and the volumes on them")

POLICY = "volume_extension:hosts"


@blp.get("/os-hosts")
@blp.response(200, HostsAnswer)
def list_hosts() -> dict[str, Any]:
    """List the hosts of services."""
    require_admin(POLICY)
    with reading() as tx:
        return {
            "hosts": [
                {
                    "host_name": one.host,
                    "service": one.binary,
                    "zone": one.zone,
                    "service-status": "available" if one.up else "unavailable",
                    "service-state": "enabled" if one.enabled else "disabled",
                    "last-update": links.time_text(one.updated_at),
                }
                for one in services(tx)
            ]
        }


@blp.get("/os-hosts/<host>")
@blp.response(200, HostAnswer)
def show_host(host: str) -> dict[str, Any]:
    """Show how many volumes and GiB each project has on `node@backend`."""
    require_admin(POLICY)
    with reading() as tx:
        if host not in (one.host for one in services(tx)):
            raise ApiError(404, f"Host '{host}' could not be found.")
        rows = tx.execute(
            select(Volume.project_id, func.count(), func.sum(Volume.size))
            .join(Pool, Pool.id == Volume.pool_id)
            .where(Pool.backend == host, Volume.visible.is_(True))
            .group_by(Volume.project_id)
            .order_by(Volume.project_id)
        ).all()
    total = ("(total)", sum(row[1] for row in rows), sum(row[2] for row in rows))
    return {"host": [_resource(host, *row) for row in (total, *rows)]}


def _resource(host: str, project: str, count: int, gib: int) -> dict[str, Any]:
    return {
        "resource": {
            "host": host,
            "project": project,
            "volume_count": str(count),
            "total_volume_gb": str(gib),
            "snapshot_count": "0",
            "total_snapshot_gb": "0",
        }
    }
