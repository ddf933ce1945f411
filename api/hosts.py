"""Hosts and the volumes on them: /os-hosts."""

from typing import Any, TypeAlias

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from api import links
from api.blueprint import Blueprint
from api.errors import ApiError
from api.policy import authorize
from api.schemas.hosts import HostAnswer, HostsAnswer
from api.topology import services
from db.models import Pool, Snapshot, Volume
from db.transactions import reading

blp = Blueprint("hosts", __name__, description="Hosts and the volumes on them")

POLICY = "volume_extension:hosts"

Amount: TypeAlias = tuple[int, int]
"""How many, and of how many GiB together."""
NONE: Amount = (0, 0)


@blp.get("/os-hosts")
@blp.response(200, HostsAnswer)
def list_hosts() -> dict[str, Any]:
    """List the hosts of services."""
    authorize(POLICY)
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
    """Show how many volumes and snapshots, of how many GiB, each project has on `node@backend`."""
    authorize(POLICY)
    with reading() as tx:
        if host not in (one.host for one in services(tx)):
            raise ApiError(404, f"Host '{host}' could not be found.")
        volumes, snapshots = _on(tx, Volume, host), _on(tx, Snapshot, host)
    resources = [
        _resource(host, project, volumes.get(project, NONE), snapshots.get(project, NONE))
        for project in sorted(volumes.keys() | snapshots.keys())
    ]
    total = _resource(host, "(total)", _sum(volumes), _sum(snapshots))
    return {"host": [total, *resources]}


def _on(tx: Session, model: type[Volume | Snapshot], host: str) -> dict[str, Amount]:
    rows = tx.execute(
        select(model.project_id, func.count(), func.sum(model.size))
        .join(Pool, Pool.id == model.pool_id)
        .where(Pool.backend == host, model.visible.is_(True))
        .group_by(model.project_id)
    )
    return {project: (count, gib) for project, count, gib in rows}


def _sum(amounts: dict[str, Amount]) -> Amount:
    return sum(count for count, _ in amounts.values()), sum(gib for _, gib in amounts.values())


def _resource(host: str, project: str, volumes: Amount, snapshots: Amount) -> dict[str, Any]:
    return {
        "resource": {
            "host": host,
            "project": project,
            "volume_count": str(volumes[0]),
            "total_volume_gb": str(volumes[1]),
            "snapshot_count": str(snapshots[0]),
            "total_snapshot_gb": str(snapshots[1]),
        }
    }
