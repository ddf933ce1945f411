"""The contract of a filter: turn a pool down, with the reason and the numbers, or let it pass."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from scheduler.state import PoolState, ScheduleRequest


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a pool was turned down: a short phrase for people, the numbers for programs."""

    reason: str
    numbers: Mapping[str, Any] = field(default_factory=dict)
    """JSON values only: a rejection is stored with the flow and served by the API."""


Check = Callable[[PoolState], Rejection | None]


class Filter(ABC):
    """One reason for which a pool can be turned down. Pure: no I/O, no state between requests."""

    name: ClassVar[str]
    """As it appears in the configuration and in verdicts."""

    @abstractmethod
    def passes(self, pool: PoolState, request: ScheduleRequest) -> Rejection | None:
        """None where the pool will do, else why it will not."""

    def prepare(self, request: ScheduleRequest) -> Check | None:
        """The check to run on every pool for this request; None where the request asks nothing of
        this filter, which then costs nothing.

        Override it where work can be done once per request rather than once per pool.
        """

        def check(pool: PoolState) -> Rejection | None:
            return self.passes(pool, request)

        return check
