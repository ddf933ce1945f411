"""Only pools whose capabilities are what the volume type's extra specs ask for."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from scheduler.extra_specs import Match, capability_path, parse
from scheduler.filters.base import Check, Filter, Rejection
from scheduler.state import PoolState, ScheduleRequest

_KNOWN: Mapping[str, Callable[[PoolState], Any]] = {
    "allocated_capacity_gb": attrgetter("taken_gib"),
    "free_capacity_gb": attrgetter("free_gib"),
    "max_over_subscription_ratio": attrgetter("max_over_subscription_ratio"),
    "pool_name": attrgetter("pool"),
    "reserved_percentage": attrgetter("reserved_percentage"),
    "thick_provisioning_support": attrgetter("thick"),
    "thin_provisioning_support": attrgetter("thin"),
    "total_capacity_gb": attrgetter("total_gib"),
    "total_volumes": attrgetter("volumes"),
    "volume_backend_name": attrgetter("backend"),
}
"""Cinder's names for what the scheduler knows of every pool, where the driver reports no such
capability itself."""


@dataclass(frozen=True, slots=True)
class _Requirement:
    path: tuple[str, ...]
    text: str
    match: Match


class CapabilitiesFilter(Filter):
    """Turns down pools that lack a capability, or have it with another value, and says which."""

    name = "capabilities"

    def passes(self, pool: PoolState, request: ScheduleRequest) -> Rejection | None:
        return _judge(pool, _requirements(request))

    def prepare(self, request: ScheduleRequest) -> Check | None:
        requirements = _requirements(request)
        if not requirements:
            return None
        return lambda pool: _judge(pool, requirements)


def _requirements(request: ScheduleRequest) -> Sequence[_Requirement]:
    return [
        _Requirement(path, text, parse(text))
        for key, text in request.extra_specs.items()
        if (path := capability_path(key)) is not None
    ]


def _judge(pool: PoolState, requirements: Sequence[_Requirement]) -> Rejection | None:
    for requirement in requirements:
        found = _look_up(pool, requirement.path)
        if found is None or not requirement.match(found):
            return _rejection(requirement, found)
    return None


def _look_up(pool: PoolState, path: tuple[str, ...]) -> Any:
    value: Any = pool.capabilities
    for part in path:
        value = value.get(part) if isinstance(value, Mapping) else None
    if value is None and len(path) == 1 and path[0] in _KNOWN:
        return _KNOWN[path[0]](pool)
    return value


def _rejection(requirement: _Requirement, found: Any) -> Rejection:
    capability = ":".join(requirement.path)
    if found is None:
        reason = f"lacks capability {capability}, asked for: {requirement.text}"
    else:
        reason = f"capability {capability} is {found}, asked for: {requirement.text}"
    if isinstance(found, float) and not math.isfinite(found):
        found = str(found)  # JSON knows no infinity, and PostgreSQL refuses it
    return Rejection(reason, {"capability": capability, "asked": requirement.text, "found": found})
