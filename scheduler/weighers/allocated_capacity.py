"""Look at what a pool has taken on, whatever its size; a negative multiplier spreads volumes."""

from scheduler.state import PoolState, ScheduleRequest
from scheduler.weighers.base import Weigher


class AllocatedCapacityWeigher(Weigher):
    """By the GiB claimed and allocated in the pool."""

    name = "allocated_capacity"

    def weigh(self, pool: PoolState, request: ScheduleRequest) -> float:
        return float(pool.taken_gib)
