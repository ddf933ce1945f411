from scheduler.filters.retry import RetryFilter
from tests.scheduler.make import pool, reason, request


def test_retry_turns_down_every_pool_of_a_host_that_failed() -> None:
    asked = request(excluded_hosts=frozenset({"node1", "node3"}))
    check = RetryFilter().prepare(asked)
    assert check is not None
    first, other_pool = check(pool(1)), check(pool(1, name="node1@ceph#q", backend="ceph"))
    assert reason(first) == reason(other_pool) == "an earlier attempt failed on node1"
    assert first is not None
    assert first.numbers == {"host": "node1", "excluded_hosts": ["node1", "node3"]}
    assert check(pool(2)) is None
    assert RetryFilter().passes(pool(1), request()) is None
