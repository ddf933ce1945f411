"""Prefer room: a positive multiplier spreads volumes, a negative one stacks them."""

from scheduler.state import PoolState, ScheduleRequest
from scheduler.weighers.base import Weigher


class CapacityWeigher(Weigher):
    """By what can still be charged to the pool, in GiB: its limit less what is taken."""

    name = "capacity"

    def weigh(self, pool: PoolState, request: ScheduleRequest) -> float:
        return pool.free_gib
