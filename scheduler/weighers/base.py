"""The contract of a weigher: a number for each pool that passed; the greatest is the best."""

from abc import ABC, abstractmethod
from typing import ClassVar

from scheduler.state import PoolState, ScheduleRequest


class Weigher(ABC):
    """One preference among pools that would all do. Pure: no I/O, no state between requests."""

    name: ClassVar[str]
    """As it appears in the configuration."""

    @abstractmethod
    def weigh(self, pool: PoolState, request: ScheduleRequest) -> float:
        """How strongly the pool has what this weigher looks at, in any unit.

        The values of one request are brought to 0..1 and multiplied by the configured multiplier; a
        negative multiplier turns the preference round.
        """
