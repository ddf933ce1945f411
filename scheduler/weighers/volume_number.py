"""Look at how many volumes a pool has; a negative multiplier spreads them."""

from scheduler.state import PoolState, ScheduleRequest
from scheduler.weighers.base import Weigher


class VolumeNumberWeigher(Weigher):
    """By the number of volumes in the pool."""

    name = "volume_number"

    def weigh(self, pool: PoolState, request: ScheduleRequest) -> float:
        return float(pool.volumes)
