"""Prefer nothing: any pool that will do, at random."""

from scheduler.spread import draw, seed
from scheduler.state import PoolState, ScheduleRequest
from scheduler.weighers.base import Weigher


class ChanceWeigher(Weigher):
    """By a number drawn for each volume and pool; a dry run of a request draws the same again."""

    name = "chance"

    def weigh(self, pool: PoolState, request: ScheduleRequest) -> float:
        return draw(seed(request.volume_id), pool.id)
