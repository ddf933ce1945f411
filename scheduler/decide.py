"""The decision: which pools will do for a request, best first, and why the others will not."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from scheduler.filters.base import Check, Filter, Rejection
from scheduler.spread import draw, seed
from scheduler.state import PoolState, ScheduleRequest
from scheduler.weighers.base import Weigher

EXAMPLES_PER_FILTER = 3
"""How many pools the summary names for each filter; the verdicts hold them all."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One pool that was turned down: by the first filter that did, why, and the numbers."""

    pool: str
    filter: str
    reason: str
    numbers: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """The verdict as it is stored in the flow, logged and served."""
        return {
            "pool": self.pool,
            "filter": self.filter,
            "reason": self.reason,
            "numbers": dict(self.numbers),
        }


@dataclass(frozen=True, slots=True)
class Decision:
    """Pools that will do, best first, and a verdict for each of the others."""

    candidates: list[PoolState]
    verdicts: list[Verdict]


def decide(
    pools: Iterable[PoolState],
    request: ScheduleRequest,
    filters: Sequence[Filter],
    weighers: Sequence[tuple[Weigher, float]],
) -> Decision:
    """Judge every pool once; rank those that pass by the sum of multiplier x normalised weight.

    Each pool is either a candidate or has one verdict, from the first filter, in the given order,
    that turned it down. With `only_pool` the others are not judged at all. The same input gives the
    same answer in every process; pools of equal weight come in an order that differs from volume to
    volume, so that equals share the load.
    """
    if request.only_pool is not None:
        pools = [pool for pool in pools if pool.name == request.only_pool]
    checks = [
        (filter_.name, check)
        for filter_ in filters
        if (check := filter_.prepare(request)) is not None
    ]
    if request.source_pool is not None:
        checks.insert(0, ("source", _beside(request.source_pool)))
    if request.group_backend is not None:
        checks.insert(0, ("group", _with_group(request.group_backend)))
    passed: list[PoolState] = []
    verdicts: list[Verdict] = []
    for pool in pools:
        verdict = _judge(pool, checks)
        if verdict is None:
            passed.append(pool)
        else:
            verdicts.append(verdict)
    return Decision(_rank(passed, request, weighers), verdicts)


def _beside(source_pool: str) -> Check:
    """No filter that an installation could leave out: elsewhere the volume cannot be made."""
    elsewhere = Rejection(f"the source is in {source_pool}")
    return lambda pool: None if pool.name == source_pool else elsewhere


def _with_group(group_backend: str) -> Check:
    elsewhere = Rejection(f"the group is on {group_backend}")
    return lambda pool: None if pool.name.startswith(f"{group_backend}#") else elsewhere


def _judge(pool: PoolState, checks: Sequence[tuple[str, Check]]) -> Verdict | None:
    for name, check in checks:
        rejection = check(pool)
        if rejection is not None:
            return Verdict(pool.name, name, rejection.reason, rejection.numbers)
    return None


def _rank(
    pools: list[PoolState], request: ScheduleRequest, weighers: Sequence[tuple[Weigher, float]]
) -> list[PoolState]:
    if len(pools) < 2:
        return pools
    scores = [0.0] * len(pools)
    for weigher, multiplier in weighers:
        if multiplier:
            weights = normalise([weigher.weigh(pool, request) for pool in pools])
            scores = [
                score + multiplier * weight for score, weight in zip(scores, weights, strict=True)
            ]
    volume = seed(request.volume_id)
    ranked = sorted(
        (
            (score, draw(volume, pool.id), pool.id, pool)
            for score, pool in zip(scores, pools, strict=True)
        ),
        key=itemgetter(0, 1, 2),
        reverse=True,
    )
    return [entry[3] for entry in ranked]


def normalise(values: Sequence[float]) -> list[float]:
    """The values brought to 0..1: the least to 0, the greatest to 1, all equal to 0.

    An infinite value lies at its end of the scale, and NaN at the lower one, so that a careless
    weigher cannot spoil the order of the others.
    """
    finite = [value for value in values if math.isfinite(value)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 0.0)
    # Halved first: the difference of two finite floats can overflow.
    span = high / 2 - low / 2
    return [_place(value, low, span) for value in values]


def _place(value: float, low: float, half_span: float) -> float:
    if math.isfinite(value):
        return (value / 2 - low / 2) / half_span if half_span else 0.0
    return 1.0 if value == math.inf else 0.0


def no_valid_backend(request: ScheduleRequest, verdicts: Sequence[Verdict]) -> str:
    """One line for people: how many pools each filter turned down, with examples.

    It names hosts, so it is for operators (flow, log); the owner of a volume is told less.
    """
    asked = f"No valid backend for volume {request.volume_id} ({request.size_gib} GiB)"
    if not verdicts:
        if request.only_pool is not None:
            return f"{asked}: pool {request.only_pool} is not known."
        return f"{asked}: no pool is known; is a node worker running?"
    by_filter: defaultdict[str, list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        by_filter[verdict.filter].append(verdict)
    parts = []
    for name, group in sorted(by_filter.items(), key=lambda item: -len(item[1])):
        shown = "; ".join(f"{v.pool}: {v.reason}" for v in group[:EXAMPLES_PER_FILTER])
        more = len(group) - EXAMPLES_PER_FILTER
        parts.append(f"{name} {len(group)} ({shown}{f'; {more} more' if more > 0 else ''})")
    return f"{asked}. Pools turned down, by filter: {', '.join(parts)}."
