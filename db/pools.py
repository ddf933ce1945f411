"""Pools as the scheduler sees them."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from config.settings import Settings
from db.liveness import read_liveness
from db.models import Backend, Node, Pool
from db.models.pool import ACTIVE
from scheduler.state import PoolState


def pool_states(tx: Session, settings: Settings) -> list[PoolState]:
    """Every pool with its node's and backend's condition, in two statements."""
    alive = read_liveness(tx, settings.sweeper.node_down_ticks)
    rows = tx.execute(
        select(Pool, Backend.up, Backend.enabled, Node.state, Node.availability_zone)
        .join(Backend, Backend.name == Pool.backend)
        .join(Node, Node.host == Pool.host)
        .where(Pool.present.is_(True))
    )
    return [
        PoolState(
            id=pool.id,
            name=pool.name,
            host=pool.host,
            backend=pool.backend.partition("@")[2],
            pool=pool.name.partition("#")[2],
            availability_zone=zone,
            limit_gib=pool.limit_gib,
            taken_gib=pool.taken_gib,
            total_gib=pool.total_gib,
            reserved_percentage=pool.reserved_percentage,
            max_over_subscription_ratio=pool.max_over_subscription_ratio,
            thin=pool.thin,
            thick=pool.thick,
            volumes=pool.volumes,
            capabilities=pool.capabilities,
            up=up and alive.host_is_up(pool.host),
            enabled=enabled and state == ACTIVE,
        )
        for pool, up, enabled, state, zone in rows
    ]
