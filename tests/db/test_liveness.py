"""The rule by which a consumer of a queue is up."""

import pytest

from db.liveness import Liveness, node_is_up


@pytest.mark.parametrize(
    ("answered", "tick", "limit", "up"),
    [
        (0, 0, 10, True),
        (90, 100, 10, True),
        (89, 100, 10, False),
        (100, 100, 1, True),
        (0, 11, 10, False),
    ],
)
def test_an_answer_counts_for_so_many_ticks(answered: int, tick: int, limit: int, up: bool) -> None:
    assert node_is_up(answered, tick, limit) is up


def test_each_queue_stands_for_itself() -> None:
    alive = Liveness(100, 10, {"node.a": 99, "node.b": 5, "scheduler": 100})
    assert alive.host_is_up("a")
    assert not alive.host_is_up("b")
    assert not alive.host_is_up("never-probed")
    assert alive.queue_is_up("scheduler")
