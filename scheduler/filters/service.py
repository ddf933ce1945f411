"""Only pools whose node answers and whose backend an operator has not disabled."""

from scheduler.filters.base import Filter, Rejection
from scheduler.state import PoolState, ScheduleRequest


class ServiceFilter(Filter):
    """Turns down what is disabled (on purpose) or down (not on purpose), and says which."""

    name = "service"

    def passes(self, pool: PoolState, request: ScheduleRequest) -> Rejection | None:
        if pool.up and pool.enabled:
            return None
        reason = "node down" if pool.enabled else "backend disabled"
        return Rejection(reason, {"up": pool.up, "enabled": pool.enabled})
