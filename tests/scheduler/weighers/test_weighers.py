"""What each weigher looks at, in its own unit; how weights add up is in test_decide."""

import pytest

from scheduler.plugins import load_weighers
from tests.scheduler.make import pool, request


@pytest.mark.parametrize(
    ("name", "expected"),
    [("capacity", 62.5), ("allocated_capacity", 38.0), ("volume_number", 7.0)],
)
def test_reads_one_fact_of_the_pool(name: str, expected: float) -> None:
    ((weigher, _),) = load_weighers({name: 1.0})
    state = pool(limit_gib=100.5, taken_gib=38, volumes=7)
    assert weigher.weigh(state, request()) == expected


def test_chance_draws_anew_for_each_pool_and_volume_and_the_same_for_both() -> None:
    ((chance, _),) = load_weighers({"chance": 1.0})
    volumes = [request(volume_id=f"volume-{n}") for n in range(100)]
    drawn = [chance.weigh(pool(number), volume) for number in range(10) for volume in volumes]
    assert drawn == [chance.weigh(pool(n), volume) for n in range(10) for volume in volumes]
    assert len(set(drawn)) == len(drawn)
    assert 0.0 <= min(drawn) < 0.05
    assert 0.95 < max(drawn) < 1.0
    assert 0.45 < sum(drawn) / len(drawn) < 0.55
