"""Volume tasks on a node, through a broker, with the fake driver: every way that they can end."""

import time
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from config.routing import node_queue
from config.settings import Settings
from drivers.registry import load_backend
from tasks.node import app as node_app
from tasks.node.node import Node
from tests.tasks.node.support import (
    FINISH,
    Harness,
    message,
    node_settings,
    running_node,
    set_faults,
)

CREATE, UNDO = "volume.create.create", "volume.create.destroy"
DELETE, EXTEND = "volume.delete.destroy", "volume.extend.extend"


@pytest.fixture
def settings(tmp_path: Path, host: str) -> Settings:
    return node_settings(tmp_path, host)


@pytest.fixture
def node(settings: Settings) -> Iterator[Harness]:
    with running_node(settings) as harness:
        yield harness


@pytest.fixture
def threaded(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Harness]:
    """A node with threads, as it really runs, that waits for a lock only for a short time."""
    monkeypatch.setattr(node_app, "Node", partial(Node, lock_wait=0.3))
    with running_node(settings, pool="threads") as harness:
        yield harness


def objects(folder: Path) -> dict[str, int]:
    """What the back end really holds."""
    driver = load_backend("fake", {"driver": "fake", "state_file": str(folder / "objects")})
    return dict(driver.objects())


def test_a_create_makes_the_volume_and_the_chain_goes_on(
    node: Harness, tmp_path: Path, host: str
) -> None:
    asked = message(host, size_gib=3)

    node.send(CREATE, asked)

    task, body = node.next()
    assert task == FINISH
    assert objects(tmp_path) == {asked["op"]["object"]: 3}
    reply = body.pop("reply")
    assert body == {key: value for key, value in asked.items() if key != "reply"}
    assert (reply["step"], reply["outcome"], reply["node"]) == ("create", "done", host)
    assert reply["incarnation"] == 2
    assert reply["started"] <= reply["finished"]
    assert reply["result"] == {"provider_location": f"fake:fake/{asked['op']['object']}"}


def test_extend_and_delete(node: Harness, tmp_path: Path, host: str) -> None:
    volume = str(uuid.uuid4())
    node.send(CREATE, message(host, volume_id=volume))
    node.next()

    node.send(EXTEND, message(host, "extend", volume, epoch=2, size_gib=5))
    assert node.next().body["reply"]["step"] == "extend"
    assert objects(tmp_path) == {f"volume-{volume}": 5}

    node.send(DELETE, message(host, "destroy", volume, epoch=3))
    assert node.next().body["reply"]["outcome"] == "done"
    assert objects(tmp_path) == {}


@pytest.mark.parametrize(
    ("fault", "ends"),
    [
        ({"fault": "fail_before"}, ("clean", 0)),
        ({"fault": "fail_before", "left": "dirty"}, ("dirty", 0)),
        ({"fault": "fail_after"}, ("dirty", 1)),
        ({"fault": "lose"}, ("unknown", 1)),
    ],
)
def test_a_failure_says_what_was_left(
    node: Harness, tmp_path: Path, host: str, fault: dict[str, Any], ends: tuple[str, int]
) -> None:
    set_faults(tmp_path, create=[fault])
    asked = message(host)

    node.send(CREATE, asked)

    task, body = node.next()
    assert task == "flow.node_failed"
    assert "told to fail" in body["reply"]["error"]["message"]
    assert (body["flow"], body["epoch"], body["ctx"]) == (asked["flow"], 1, {"earlier": 1})
    assert node.quiet(), "the chain must not go on"
    assert (body["reply"]["outcome"], len(objects(tmp_path))) == ends


def test_the_same_message_again_is_answered_and_not_done_again(
    node: Harness, tmp_path: Path, host: str
) -> None:
    asked = message(host)
    node.send(CREATE, asked)
    first = node.next()

    set_faults(tmp_path, create=[{"fault": "fail_before"}])  # would be seen if it were called
    node.send(CREATE, asked)

    assert node.next() == first


def test_a_failure_too_is_answered_again(node: Harness, tmp_path: Path, host: str) -> None:
    set_faults(tmp_path, create=[{"fault": "fail_before"}])
    asked = message(host)
    node.send(CREATE, asked)
    first = node.next()

    set_faults(tmp_path)
    node.send(CREATE, asked)

    assert node.next() == first
    assert objects(tmp_path) == {}


def test_a_newer_epoch_is_tried_anew(node: Harness, tmp_path: Path, host: str) -> None:
    set_faults(tmp_path, create=[{"fault": "lose"}])
    asked = message(host)
    node.send(CREATE, asked)
    assert node.next().body["reply"]["outcome"] == "unknown"

    set_faults(tmp_path)
    node.send(CREATE, {**asked, "epoch": 2})

    assert node.next().task == FINISH
    assert len(objects(tmp_path)) == 1


def test_clean_is_not_believed_after_an_attempt_that_may_have_left_something(
    node: Harness, tmp_path: Path, host: str
) -> None:
    set_faults(tmp_path, create=[{"fault": "lose", "times": 1}, {"fault": "fail_before"}])
    asked = message(host)
    node.send(CREATE, asked)
    assert node.next().body["reply"]["outcome"] == "unknown"

    node.send(CREATE, {**asked, "epoch": 2})

    assert node.next().body["reply"]["outcome"] == "dirty"


def test_an_older_epoch_has_no_effect(node: Harness, tmp_path: Path, host: str) -> None:
    asked = message(host, epoch=2)
    node.send(CREATE, asked)
    node.next()

    node.send(UNDO, message(host, "destroy", asked["resource"], epoch=1))

    assert node.quiet()
    assert len(objects(tmp_path)) == 1


def test_a_create_that_comes_after_its_destroy_makes_nothing(
    node: Harness, tmp_path: Path, host: str
) -> None:
    create = message(host, epoch=1)
    node.send(UNDO, message(host, "destroy", create["resource"], epoch=2))
    assert node.next().body["reply"]["outcome"] == "done"

    node.send(CREATE, create)
    assert node.quiet()

    node.send(CREATE, {**create, "epoch": 3})  # must end too, so that no flow waits for ever
    task, body = node.next()
    assert (task, body["reply"]["outcome"]) == ("flow.node_failed", "clean")
    assert body["reply"]["error"]["type"] == "ObjectBuriedError"
    assert objects(tmp_path) == {}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"v": 2}, "version 2"),
        ({"epoch": "1"}, "epoch is of str"),
        ({"op": {"verb": "create"}}, "backend is missing"),
        ({"node": "elsewhere"}, "meant for node elsewhere"),
    ],
)
def test_what_is_not_understood_is_parked(
    node: Harness, tmp_path: Path, host: str, change: dict[str, Any], reason: str
) -> None:
    asked = {**message(host), **change}

    node.send(CREATE, asked)

    task, body = node.next()
    assert task == "flow.parked"
    assert (body["queue"], body["task"]) == (node_queue(host), CREATE)
    assert body["message"]["args"] == [asked]
    assert reason in body["reason"]
    assert node.quiet()
    assert objects(tmp_path) == {}


def test_a_task_does_not_take_the_operation_of_another(
    node: Harness, tmp_path: Path, host: str
) -> None:
    created = message(host)
    node.send(CREATE, created)
    node.next()

    node.send(CREATE, message(host, "destroy", created["resource"], epoch=2))

    assert node.next().task == "flow.parked"
    assert len(objects(tmp_path)) == 1


def test_a_back_end_that_is_not_there_leaves_nothing(node: Harness, host: str) -> None:
    node.send(CREATE, message(host, backend="gone"))

    reply = node.next().body["reply"]
    assert reply["outcome"] == "clean"
    assert "no back end gone" in reply["error"]["message"]


def test_a_name_that_no_driver_may_get_leaves_nothing(node: Harness, host: str) -> None:
    asked = message(host)
    asked["op"]["object"] = "../../etc/passwd"

    node.send(CREATE, asked)

    assert node.next().body["reply"]["outcome"] == "clean"


def test_a_destroy_does_not_wait_for_ever_behind_a_create_that_hangs(
    threaded: Harness, tmp_path: Path, host: str
) -> None:
    set_faults(tmp_path, create=[{"fault": "hang"}])
    create = message(host)
    threaded.send(CREATE, create)
    threaded.next_report(running=...)

    threaded.send(UNDO, message(host, "destroy", create["resource"], epoch=2))

    task, body = threaded.next()
    assert (task, body["reply"]["outcome"]) == ("flow.node_failed", "unknown")

    set_faults(tmp_path)  # the create comes to, makes its volume, and says so; then all is settled
    assert threaded.next().task == FINISH
    threaded.send(UNDO, message(host, "destroy", create["resource"], epoch=3))
    assert threaded.next().body["reply"]["outcome"] == "done"
    assert objects(tmp_path) == {}


def test_a_message_that_comes_twice_at_once_is_done_once(
    threaded: Harness, tmp_path: Path, host: str
) -> None:
    set_faults(tmp_path, create=[{"fault": "hang"}])
    asked = message(host)
    threaded.send(CREATE, asked)
    threaded.send(CREATE, asked)
    threaded.next_report(running=...)
    time.sleep(0.2)

    set_faults(tmp_path)

    assert threaded.next().task == FINISH
    assert threaded.quiet()


def test_a_hundred_volumes_at_once(threaded: Harness, tmp_path: Path, host: str) -> None:
    for _ in range(100):
        threaded.send(CREATE, message(host))

    replies = [threaded.next() for _ in range(100)]

    assert {reply.task for reply in replies} == {FINISH}
    assert len(objects(tmp_path)) == 100
