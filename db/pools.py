"""Pools as the scheduler sees them."""

from sqlalchemy import func, literal, select
from sqlalchemy.orm import Session

from config.routing import NODE_PREFIX
from config.settings import Settings
from db.liveness import node_is_up
from db.models import Backend, Clock, Node, Pool, QueueProbe
from db.models.pool import ACTIVE
from scheduler.state import PoolState

# Columns, not objects, and one statement that is made once: it runs for every volume.
_POOLS = (
    select(
        Pool.id,
        Pool.name,
        Pool.host,
        Pool.backend,
        Pool.limit_gib,
        Pool.taken_gib,
        Pool.total_gib,
        Pool.reserved_percentage,
        Pool.max_over_subscription_ratio,
        Pool.thin,
        Pool.thick,
        Pool.volumes,
        Pool.capabilities,
        Backend.up,
        Backend.enabled,
        Backend.frozen,
        Node.state,
        Node.availability_zone,
        func.coalesce(QueueProbe.answered_tick, -1).label("answered_tick"),
        select(Clock.tick).where(Clock.id == 1).scalar_subquery().label("tick"),
    )
    .join(Backend, Backend.name == Pool.backend)
    .join(Node, Node.host == Pool.host)
    .outerjoin(QueueProbe, QueueProbe.queue == literal(NODE_PREFIX).concat(Node.host))
    .where(Pool.present.is_(True))
)


def pool_states(tx: Session, settings: Settings) -> list[PoolState]:
    """Every pool with its node's and backend's condition."""
    silence = settings.sweeper.node_down_ticks
    return [
        PoolState(
            id=row.id,
            name=row.name,
            host=row.host,
            backend=row.backend.partition("@")[2],
            pool=row.name.partition("#")[2],
            availability_zone=row.availability_zone,
            limit_gib=row.limit_gib,
            taken_gib=row.taken_gib,
            total_gib=row.total_gib,
            reserved_percentage=row.reserved_percentage,
            max_over_subscription_ratio=row.max_over_subscription_ratio,
            thin=row.thin,
            thick=row.thick,
            volumes=row.volumes,
            capabilities=row.capabilities,
            up=row.up and node_is_up(row.answered_tick, row.tick or 0, silence),
            enabled=row.enabled and not row.frozen and row.state == ACTIVE,
        )
        for row in tx.execute(_POOLS)
    ]
