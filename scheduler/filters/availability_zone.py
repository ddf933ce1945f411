"""Only pools of the zone that was asked for."""

from scheduler.filters.base import Check, Filter, Rejection
from scheduler.state import PoolState, ScheduleRequest


class AvailabilityZoneFilter(Filter):
    """Turns down pools of another zone; a request that names no zone may go anywhere."""

    name = "availability_zone"

    def prepare(self, request: ScheduleRequest) -> Check | None:
        return super().prepare(request) if request.availability_zone else None

    def passes(self, pool: PoolState, request: ScheduleRequest) -> Rejection | None:
        asked = request.availability_zone
        if not asked or pool.availability_zone == asked:
            return None
        return Rejection(
            f"in zone {pool.availability_zone}, asked for {asked}",
            {"asked": asked, "found": pool.availability_zone},
        )
