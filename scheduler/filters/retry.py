"""Not again the hosts that this request has failed on."""

from scheduler.filters.base import Check, Filter, Rejection
from scheduler.state import PoolState, ScheduleRequest


class RetryFilter(Filter):
    """Turns down every pool of a host that an earlier attempt of the same request failed on."""

    name = "retry"

    def prepare(self, request: ScheduleRequest) -> Check | None:
        return super().prepare(request) if request.excluded_hosts else None

    def passes(self, pool: PoolState, request: ScheduleRequest) -> Rejection | None:
        if pool.host not in request.excluded_hosts:
            return None
        return Rejection(
            f"an earlier attempt failed on {pool.host}",
            {"host": pool.host, "excluded_hosts": sorted(request.excluded_hosts)},
        )
