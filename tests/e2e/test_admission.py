"""202 means durable; a refusal or a 503 means that nothing exists, and nothing will."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.e2e.conftest import Lab, on
from tests.e2e.messages import empty
from tests.processes import wait_for


def test_without_a_control_worker_nothing_comes_into_being_later(lab: Lab, project: str) -> None:
    stack = lab.stack
    stack.kill("control")
    answer = stack.post_volume(project)
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.elapsed.total_seconds() < 12

    stack.heal()

    lab.truth.settled()
    assert lab.truth.volumes(project) == []
    assert lab.truth.usage(project, "volumes") == (0, 0)
    listed = stack.call("GET", "/volumes", project=project).json()
    assert listed["volumes"] == []
    (flow,) = stack.flows_of(project)
    assert flow["state"] == "cancelled"


def test_admission_needs_neither_scheduler_nor_node(lab: Lab, project: str) -> None:
    stack = lab.stack
    stack.kill("scheduler", "node1", "node2", "node3")
    volume = stack.create(project)
    assert stack.status(volume, project) == "creating"
    stack.heal()
    lab.truth.settled()
    assert stack.status(volume, project) in ("available", "error")


def test_a_scheduler_that_is_down_only_delays(lab: Lab, project: str) -> None:
    lab.stack.kill("scheduler")
    volume = lab.stack.create(project)
    lab.stack.heal()
    lab.stack.wait_for_status(volume, "available", project)
    lab.truth.settled()


def test_a_repeated_key_gets_the_same_answer(lab: Lab, project: str) -> None:
    first = lab.stack.post_volume(project, Idempotency_Key="once")
    again = lab.stack.post_volume(project, Idempotency_Key="once")
    other = lab.stack.post_volume(project, size=2, Idempotency_Key="once")
    assert first.status_code == again.status_code == 202
    assert again.json() == first.json()
    assert other.status_code == 422
    lab.truth.settled()
    assert len(lab.truth.volumes(project)) == 1


@on("redis-postgresql", "rabbitmq-postgresql")  # who is paused may hold the lock of SQLite
def test_a_key_whose_request_is_in_flight(lab: Lab, project: str) -> None:
    with ThreadPoolExecutor(1) as pool:
        with lab.stack.paused("control"):
            first = pool.submit(lab.stack.post_volume, project, Idempotency_Key="slow")
            wait_for(lambda: lab.stack.flows_of(project))
            again = lab.stack.post_volume(project, Idempotency_Key="slow")
        assert again.status_code == 409
        assert first.result().status_code == 202
    lab.truth.settled()
    assert len(lab.truth.volumes(project)) == 1


def test_the_api_is_killed_before_it_has_answered(lab: Lab, project: str) -> None:
    stack = lab.stack
    stack.kill("control")  # not paused: it might hold the lock of SQLite then
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(stack.post_volume, project, Idempotency_Key="lost")
        wait_for(lambda: stack.flows_of(project), doing="the flow")
        stack.kill("api")
        with pytest.raises(requests.ConnectionError):
            first.result()
    stack.heal()
    wait_for(lambda: lab.truth.volumes(project), doing="a volume that nobody was told of")
    lab.truth.settled()

    again = stack.post_volume(project, Idempotency_Key="lost")

    assert again.status_code == 202
    lab.truth.settled()
    assert [row.id for row in lab.truth.volumes(project)] == [again.json()["volume"]["id"]]


def test_a_request_that_the_api_did_not_live_to_cancel(lab: Lab, project: str) -> None:
    """Nobody was told of it, so it may come into being or not, but not halfway."""
    stack = lab.stack
    stack.kill("control")
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(stack.post_volume, project)
        wait_for(lambda: stack.flows_of(project))
        stack.kill("api")
        with pytest.raises(requests.ConnectionError):
            first.result()
    empty(stack)
    stack.heal()
    lab.truth.settled()
