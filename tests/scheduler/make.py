"""Pools and requests for the tests: usable as they are, each fact changed by name."""

from typing import Any

from scheduler.filters.base import Rejection
from scheduler.state import PoolState, ScheduleRequest

VOLUME = "5f0c7b1e-0a53-4f5e-9d1c-0e5b6a7c8d9e"


def pool(number: int = 1, **facts: Any) -> PoolState:
    """A thin pool on a node of its own, up, 100 GiB in all, 20 of them taken."""
    defaults: dict[str, Any] = {
        "id": number,
        "name": f"node{number}@file#p",
        "host": f"node{number}",
        "backend": "file",
        "pool": "p",
        "availability_zone": "nova",
        "limit_gib": 100.0,
        "taken_gib": 20,
        "total_gib": 100.0,
        "reserved_percentage": 0,
        "max_over_subscription_ratio": 1.0,
        "thin": True,
        "thick": False,
        "volumes": 2,
        "capabilities": {},
        "up": True,
        "enabled": True,
    }
    return PoolState(**(defaults | facts))


def request(size_gib: int = 5, **facts: Any) -> ScheduleRequest:
    """A volume of 5 GiB, anywhere."""
    facts.setdefault("volume_id", VOLUME)
    return ScheduleRequest(size_gib=size_gib, **facts)


def reason(rejection: Rejection | None) -> str | None:
    return rejection.reason if rejection else None
