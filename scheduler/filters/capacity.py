"""Only pools with room: what is taken and what is asked must stay within the limit."""

import math

from scheduler import provisioning
from scheduler.filters.base import Check, Filter, Rejection
from scheduler.state import PoolState, ScheduleRequest


class CapacityFilter(Filter):
    """Turns down pools that cannot make a volume of the wanted kind, or have no room for it.

    Room is judged by virtual sizes against the limit (see `scheduler.provisioning`), never by the
    free space that a backend reports: a claim whose create has just finished would count twice.
    """

    name = "capacity"

    def passes(self, pool: PoolState, request: ScheduleRequest) -> Rejection | None:
        return _judge(pool, request.size_gib, provisioning.wanted(request.extra_specs))

    def prepare(self, request: ScheduleRequest) -> Check:
        size, kind = request.size_gib, provisioning.wanted(request.extra_specs)
        return lambda pool: _judge(pool, size, kind)


def _judge(pool: PoolState, size: int, kind: provisioning.Kind | None) -> Rejection | None:
    if (kind == "thick" and not pool.thick) or (kind == "thin" and not pool.thin):
        return Rejection(
            f"makes no {kind} volumes",
            {"asked": kind, "thin": pool.thin, "thick": pool.thick},
        )
    limit = provisioning.limit_gib(pool, kind)
    if pool.taken_gib + size <= limit:
        return None
    free = limit - pool.taken_gib
    return Rejection(
        f"{size} GiB asked, {_gib(free)} of {_gib(limit)} GiB free",
        {
            "asked_gib": size,
            "free_gib": free,
            "limit_gib": limit,
            "taken_gib": pool.taken_gib,
            "total_gib": pool.total_gib,
            "reserved_percentage": pool.reserved_percentage,
            "max_over_subscription_ratio": pool.max_over_subscription_ratio,
            "provisioning": kind,
        },
    )


def _gib(amount: float) -> str:
    # Rounded down: "5 GiB asked, 5 GiB free" would make no sense of a refusal.
    return f"{math.floor(amount * 100) / 100:.2f}".rstrip("0").rstrip(".")
