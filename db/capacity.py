"""Capacity of pools: claims, allocations and residues against one counter.

Each function works in the caller's transaction.

`pools.taken_gib` equals the claims plus what volumes and snapshots have allocated (their
`allocated_gib`) plus the residues of that pool.
"""

from typing import Any

from sqlalchemy import bindparam, case, delete, select, update
from sqlalchemy.orm import Session

from db.models import Base, Claim, Pool, Residue, Snapshot, Volume

_POOLS, _CLAIMS = Base.metadata.tables["pools"], Base.metadata.tables["claims"]


def _grant(limit: Any) -> Any:
    return (
        update(_POOLS)
        .where(_POOLS.c.id == bindparam("pool"), _POOLS.c.taken_gib + bindparam("gib") <= limit)
        .values(
            taken_gib=_POOLS.c.taken_gib + bindparam("gib"),
            volumes=_POOLS.c.volumes + bindparam("more_volumes"),
        )
        .returning(_POOLS.c.id)
    )


_GRANT = _grant(_POOLS.c.limit_gib)
_GRANT_THICK = _grant(
    _POOLS.c.limit_gib / case((_POOLS.c.thin, _POOLS.c.max_over_subscription_ratio), else_=1.0)
)
_TAKE = (
    delete(_CLAIMS)
    .where(_CLAIMS.c.flow_id == bindparam("of_flow"))
    .returning(_CLAIMS.c.pool_id, _CLAIMS.c.gib, _CLAIMS.c.volumes)
)


def claim(
    tx: Session, flow_id: str, pool_id: int, gib: int, volumes: int, *, thick: bool = False
) -> bool:
    """Claim `gib` GiB for a flow, or False when the pool's limit does not allow it any more.

    One conditional UPDATE decides, so any number of schedulers cannot overcommit a pool. A volume
    that takes all its space at once (`thick`) is held against the limit without over-subscription.
    """
    wanted = {"pool": pool_id, "gib": gib, "more_volumes": volumes}
    if tx.execute(_GRANT_THICK if thick else _GRANT, wanted).first() is None:
        return False
    claimed = {"flow_id": flow_id, "pool_id": pool_id, "gib": gib, "volumes": volumes}
    tx.execute(_CLAIMS.insert(), claimed)
    return True


def take_claim(tx: Session, flow_id: str) -> tuple[int, int, int] | None:
    """End a flow's claim; returns pool id, GiB and volumes, which the caller keeps on a row."""
    row = tx.execute(_TAKE, {"of_flow": flow_id}).first()
    return (row.pool_id, row.gib, row.volumes) if row else None


def _give_back(tx: Session, pool_id: int, gib: int, volumes: int) -> None:
    tx.execute(
        update(Pool)
        .where(Pool.id == pool_id)
        .values(taken_gib=Pool.taken_gib - gib, volumes=Pool.volumes - volumes)
        .execution_options(synchronize_session=False)
    )


def release(tx: Session, flow_id: str) -> None:
    """Give a flow's claim back; without one (never made, or moved to a residue) does nothing."""
    taken = take_claim(tx, flow_id)
    if taken:
        _give_back(tx, *taken)


def allocate(tx: Session, flow_id: str, row: Volume | Snapshot) -> None:
    """The flow's claim becomes part of what `row` holds in its pool."""
    taken = take_claim(tx, flow_id)
    if taken:
        row.pool_id = taken[0]
        row.allocated_gib += taken[1]


def leave(tx: Session, flow_id: str, residue: Residue) -> None:
    """The flow's claim becomes the residue's: it stays taken until the node has answered."""
    taken = take_claim(tx, flow_id)
    if taken:
        residue.pool_id, residue.gib, residue.volumes = taken


def free(tx: Session, row: Volume | Snapshot) -> None:
    """Give back all that `row` holds in its pool, where only volumes are counted."""
    if row.pool_id is not None:
        _give_back(tx, row.pool_id, row.allocated_gib, int(isinstance(row, Volume)))
    row.pool_id, row.allocated_gib = None, 0


def take_over(tx: Session, row: Volume | Snapshot, pool_id: int, gib: int) -> None:
    """Allocate `gib` GiB to `row`, which was on the storage already as something that is not ours.

    Always granted: until the node reports again, what was not ours is so much less, and the limit
    so much more.
    """
    _shift(tx, pool_id, gib, int(isinstance(row, Volume)))
    row.pool_id = pool_id
    row.allocated_gib += gib


def hand_over(tx: Session, row: Volume | Snapshot) -> None:
    """Give up what `row` holds in its pool, where it stays as something that is not ours.

    Nobody can claim that room: until the node reports again, the limit is so much less.
    """
    if row.pool_id is not None:
        _shift(tx, row.pool_id, -row.allocated_gib, -int(isinstance(row, Volume)))
    row.pool_id, row.allocated_gib = None, 0


def _shift(tx: Session, pool_id: int, gib: int, volumes: int) -> None:
    tx.execute(
        update(Pool)
        .where(Pool.id == pool_id)
        .values(
            taken_gib=Pool.taken_gib + gib,
            volumes=Pool.volumes + volumes,
            limit_gib=Pool.limit_gib + gib,
        )
        .execution_options(synchronize_session=False)
    )


def settle(tx: Session, residue: Residue) -> None:
    """Remove a residue and give back what it held."""
    if residue.pool_id is not None:
        _give_back(tx, residue.pool_id, residue.gib, residue.volumes)
    tx.delete(residue)


def claimed_pool(tx: Session, flow_id: str) -> Pool | None:
    """The pool in which a flow has a claim."""
    return tx.scalars(
        select(Pool).join(Claim, Claim.pool_id == Pool.id).where(Claim.flow_id == flow_id)
    ).first()
