import json
import math
from collections import Counter
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.decide import Verdict, decide, no_valid_backend, normalise
from scheduler.filters.base import Filter
from scheduler.plugins import load_filters, load_weighers
from scheduler.state import PoolState, ScheduleRequest
from scheduler.weighers.base import Weigher
from tests.scheduler.make import pool, request

FILTERS = load_filters(["service", "availability_zone", "capacity", "capabilities", "retry"])
ROOM = load_weighers({"capacity": 1.0})


def names(pools: list[PoolState]) -> list[str]:
    return [pool.host for pool in pools]


def test_the_most_room_comes_first() -> None:
    pools = [pool(1, taken_gib=50), pool(2, taken_gib=10), pool(3, taken_gib=30)]
    assert names(decide(pools, request(), FILTERS, ROOM).candidates) == ["node2", "node3", "node1"]


def test_a_negative_multiplier_stacks() -> None:
    pools = [pool(1, taken_gib=50), pool(2, taken_gib=10), pool(3, taken_gib=96)]
    decision = decide(pools, request(), FILTERS, load_weighers({"capacity": -1.0}))
    assert names(decision.candidates) == ["node1", "node2"]


def test_multipliers_set_weighers_against_each_other() -> None:
    pools = [pool(1, taken_gib=0, volumes=9), pool(2, taken_gib=50, volumes=0)]

    def first(**multipliers: float) -> str:
        return names(decide(pools, request(), FILTERS, load_weighers(multipliers)).candidates)[0]

    assert first(capacity=1.0, volume_number=-0.9) == "node1"
    assert first(capacity=1.0, volume_number=-1.1) == "node2"
    assert first(allocated_capacity=-1.0) == "node1"
    assert first(allocated_capacity=1.0, capacity=0.0) == "node2"


def test_the_first_filter_in_order_gives_the_verdict() -> None:
    bad = pool(1, up=False, taken_gib=100)
    asked = request(availability_zone="east")
    verdicts = decide([bad], asked, FILTERS, ROOM).verdicts
    assert [(v.pool, v.filter) for v in verdicts] == [("node1@file#p", "service")]
    reordered = load_filters(["capacity", "availability_zone", "service"])
    assert [v.filter for v in decide([bad], asked, reordered, ROOM).verdicts] == ["capacity"]


def test_what_is_made_from_another_volume_goes_beside_it() -> None:
    pools = [pool(1), pool(2, taken_gib=90), pool(3)]
    decision = decide(pools, request(source_pool="node2@file#p"), FILTERS, ROOM)
    assert names(decision.candidates) == ["node2"]
    assert {(v.filter, v.reason) for v in decision.verdicts} == {
        ("source", "the source is in node2@file#p")
    }
    full = decide(pools, request(source_pool="node2@file#p", size_gib=50), FILTERS, ROOM)
    assert [v.filter for v in full.verdicts] == ["source", "capacity", "source"]


def test_an_extend_looks_at_its_own_pool_only() -> None:
    pools = [pool(1, taken_gib=99), pool(2), pool(3)]
    refused = decide(pools, request(only_pool="node1@file#p"), FILTERS, ROOM)
    assert (refused.candidates, [v.pool for v in refused.verdicts]) == ([], ["node1@file#p"])
    granted = decide(pools, request(only_pool="node2@file#p"), FILTERS, ROOM)
    assert (names(granted.candidates), granted.verdicts) == (["node2"], [])


@pytest.mark.parametrize("weighers", [{"capacity": 1.0}, {"chance": 1.0}])
def test_equal_pools_share_the_load(weighers: dict[str, float]) -> None:
    pools = [pool(n) for n in range(1, 6)]
    loaded = load_weighers(weighers)
    volumes = [
        str(UUID(int=(n * 0x9E3779B97F4A7C15F39CC0605CEDC835) % 2**128)) for n in range(5000)
    ]
    first = Counter(
        decide(pools, request(volume_id=volume), FILTERS, loaded).candidates[0].host
        for volume in volumes
    )
    # 150 is five standard deviations of a fair draw.
    assert sorted(first) == ["node1", "node2", "node3", "node4", "node5"]
    assert all(850 < count < 1150 for count in first.values()), first


def test_the_order_of_equals_is_the_same_in_every_process() -> None:
    pools = [pool(n) for n in range(1, 9)]
    decision = decide(pools, request(), FILTERS, ROOM)
    assert names(decision.candidates) == names(
        decide(reversed(pools), request(), FILTERS, ROOM).candidates
    )
    # Written down, so that a salted hash would show.
    assert names(decision.candidates) == [f"node{n}" for n in (2, 5, 6, 1, 7, 8, 3, 4)]


GIB = st.integers(0, 60)
POOLS = st.lists(
    st.builds(
        pool,
        number=st.integers(1, 10**6),
        limit_gib=st.floats(0, 60),
        taken_gib=GIB,
        thin=st.booleans(),
        thick=st.booleans(),
        max_over_subscription_ratio=st.sampled_from([1.0, 2.0, 20.0]),
        volumes=GIB,
        availability_zone=st.sampled_from(["nova", "east"]),
        up=st.booleans(),
        enabled=st.booleans(),
        capabilities=st.sampled_from([{}, {"iops": 1}, {"iops": 9}]),
    ),
    max_size=8,
    unique_by=lambda state: state.id,
)
REQUESTS = st.builds(
    request,
    size_gib=st.integers(1, 60),
    volume_id=st.uuids().map(str),
    availability_zone=st.sampled_from([None, "nova"]),
    extra_specs=st.sampled_from([{}, {"iops": ">= 5"}, {"provisioning:type": "thick"}]),
)


@given(POOLS, REQUESTS, st.data())
def test_every_pool_is_a_candidate_that_fits_or_has_one_verdict(
    pools: list[PoolState], asked: ScheduleRequest, data: st.DataObject
) -> None:
    hosts = data.draw(st.sets(st.sampled_from([p.host for p in pools]))) if pools else set()
    asked = request(
        asked.size_gib,
        volume_id=asked.volume_id,
        availability_zone=asked.availability_zone,
        extra_specs=asked.extra_specs,
        excluded_hosts=frozenset(hosts),
    )
    decision = decide(pools, asked, FILTERS, ROOM)
    for chosen in decision.candidates:
        assert chosen.up
        assert chosen.enabled
        assert chosen.taken_gib + asked.size_gib <= chosen.limit_gib
        assert chosen.host not in hosts
        assert asked.availability_zone in (None, chosen.availability_zone)
        if "iops" in asked.extra_specs:
            assert chosen.capabilities["iops"] == 9
        if "provisioning:type" in asked.extra_specs:
            assert chosen.thick
    judged = [p.name for p in decision.candidates] + [v.pool for v in decision.verdicts]
    assert sorted(judged) == sorted(p.name for p in pools)
    rooms = [p.free_gib for p in decision.candidates]
    assert rooms == sorted(rooms, reverse=True)
    json.dumps([v.as_json() for v in decision.verdicts], allow_nan=False)


@given(st.lists(st.floats()))
def test_normalised_weights_lie_between_0_and_1(values: list[float]) -> None:
    weights = normalise(values)
    assert len(weights) == len(values)
    assert all(0.0 <= weight <= 1.0 for weight in weights)
    finite = sorted((v, w) for v, w in zip(values, weights, strict=True) if math.isfinite(v))
    assert [w for _, w in finite] == sorted(w for _, w in finite)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], []),
        ([7.0], [0.0]),
        ([3.0, 3.0], [0.0, 0.0]),
        ([0.0, 5.0, 10.0], [0.0, 0.5, 1.0]),
        ([-1e308, 0.0, 1e308], [0.0, 0.5, 1.0]),
        ([math.inf, 1.0, 2.0, -math.inf, math.nan], [1.0, 0.0, 1.0, 0.0, 0.0]),
        ([math.inf, 1.0], [1.0, 0.0]),
    ],
)
def test_normalise(values: list[float], expected: list[float]) -> None:
    assert normalise(values) == expected


class CarelessWeigher(Weigher):
    name = "careless"

    def weigh(self, pool: PoolState, request: ScheduleRequest) -> float:
        return math.nan if pool.id == 1 else float(pool.id)


def test_a_weigher_that_gives_no_number_does_not_spoil_the_order() -> None:
    pools = [pool(2), pool(1), pool(3)]
    decision = decide(pools, request(), FILTERS, [(CarelessWeigher(), 1.0)])
    assert names(decision.candidates)[0] == "node3"
    assert len(decision.candidates) == 3


def test_no_valid_backend_names_filters_pools_and_numbers() -> None:
    pools = [pool(n, taken_gib=98) for n in range(1, 6)] + [pool(9, up=False)]
    asked = request()
    verdicts = decide(pools, asked, FILTERS, ROOM).verdicts
    assert no_valid_backend(asked, verdicts) == (
        f"No valid backend for volume {asked.volume_id} (5 GiB). Pools turned down, by filter: "
        "capacity 5 (node1@file#p: 5 GiB asked, 2 of 100 GiB free; "
        "node2@file#p: 5 GiB asked, 2 of 100 GiB free; "
        "node3@file#p: 5 GiB asked, 2 of 100 GiB free; 2 more), "
        "service 1 (node9@file#p: node down)."
    )
    assert verdicts[-1].as_json() == {
        "pool": "node9@file#p",
        "filter": "service",
        "reason": "node down",
        "numbers": {"up": False, "enabled": True},
    }


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, "no pool is known; is a node worker running?"),
        ({"only_pool": "node7@file#p"}, "pool node7@file#p is not known."),
    ],
)
def test_no_valid_backend_without_pools(facts: dict[str, Any], expected: str) -> None:
    asked = request(**facts)
    verdicts: list[Verdict] = decide([], asked, FILTERS, ROOM).verdicts
    assert no_valid_backend(asked, verdicts).endswith(expected)


def test_a_filter_that_is_not_concerned_is_not_asked() -> None:
    prepared: list[Filter] = [f for f in FILTERS if f.prepare(request()) is not None]
    assert [f.name for f in prepared] == ["service", "capacity"]
