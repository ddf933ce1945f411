"""The reports of a node: what is up, what runs, what was cut short, and the answer to a ping."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.routing import CONTROL
from config.settings import Settings
from tasks.node import backends
from tasks.node.app import make_node_celery
from tasks.node.ledger import Ledger, Work
from tests.tasks.node.support import (
    Harness,
    message,
    node_settings,
    running_node,
    set_faults,
)

CREATE = "volume.create.create"


@pytest.fixture
def settings(tmp_path: Path, host: str) -> Settings:
    return node_settings(
        tmp_path,
        host,
        BACKENDS__FAKE__TOTAL_GIB="100",
        BACKENDS__FAKE__RESERVED_PERCENTAGE="10",
        BACKENDS__FAKE__MAX_OVER_SUBSCRIPTION_RATIO="2",
        BACKENDS__OTHER__DRIVER="fake",
    )


@pytest.fixture
def node(settings: Settings) -> Iterator[Harness]:
    with running_node(settings, pool="threads") as harness:
        yield harness


def test_a_report_says_who_and_what(node: Harness, host: str) -> None:
    report = node.next_report()

    assert report["v"] == 1
    assert report["availability_zone"] == "nova"
    assert report["incarnation"]["number"] == 2  # the first one was reconciled
    assert len(report["incarnation"]["uuid"]) == 36
    assert report["answers"] is None
    assert report["running"] == report["interrupted"] == []
    assert report["backends"] == [
        {"name": f"{host}@fake", "driver": "fake", "up": True, "reason": None},
        {"name": f"{host}@other", "driver": "fake", "up": True, "reason": None},
    ]
    pool, _ = report["pools"]
    assert (pool["name"], pool["backend"], pool["pool"]) == (
        f"{host}@fake#fake",
        f"{host}@fake",
        "fake",
    )
    assert pool["limit_gib"] == pytest.approx((100 - 10) * 2)
    assert pool["capabilities"]["volume_backend_name"] == "fake"


def test_reports_are_in_order(node: Harness) -> None:
    numbers = [node.next_report()["sequence"] for _ in range(3)]

    assert numbers == [1, 2, 3]


def test_a_ping_is_answered_at_once(tmp_path: Path, host: str) -> None:
    with running_node(node_settings(tmp_path, host, NODE__REPORT_INTERVAL="3600")) as node:
        node.next_report()
        begun = time.monotonic()

        node.send_alone("node.ping", {"v": 1, "tick": 17})

        assert node.next_report()["answers"] == 17
        assert time.monotonic() - begun < 5


def test_a_ping_that_is_not_understood_is_parked(node: Harness) -> None:
    node.send_alone("node.ping", {"v": 1, "tick": "now"})

    assert node.next(CONTROL).task == "flow.parked"


def test_a_back_end_that_is_down_takes_nothing_else_with_it(
    node: Harness, tmp_path: Path, host: str
) -> None:
    node.next_report()
    set_faults(tmp_path, check=[{"fault": "fail_before", "message": "the cable is out"}])

    while node.next_report()["backends"][0]["up"]:
        pass
    report = node.next_report()
    assert "the cable is out" in report["backends"][0]["reason"]
    assert report["backends"][1]["up"]
    assert [pool["pool"] for pool in report["pools"]] == ["other"]

    set_faults(tmp_path)
    while not node.next_report()["backends"][0]["up"]:
        pass


def test_a_back_end_that_hangs_does_not_stop_the_reports(
    node: Harness, tmp_path: Path, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backends, "PROBE_LIMIT", 1.5)
    node.next_report()
    set_faults(tmp_path, report=[{"fault": "hang"}])

    while (report := node.next_report())["backends"][0]["up"]:
        pass

    assert "does not answer" in report["backends"][0]["reason"]
    assert report["backends"][1]["up"]
    # What hangs gets no more threads: an operation is refused at once, and can go elsewhere.
    node.send(CREATE, message(host))
    assert node.next().body["reply"]["outcome"] == "clean"
    set_faults(tmp_path)


def test_what_runs_is_told_of_and_called_hung_in_time(tmp_path: Path, host: str) -> None:
    settings = node_settings(tmp_path, host, BACKENDS__FAKE__OPERATION_TIMEOUT="1")
    set_faults(tmp_path, create=[{"fault": "hang"}])
    asked = message(host)
    with running_node(settings, pool="threads") as node:
        node.send(CREATE, asked)

        (run,) = node.next_report(running=...)["running"]
        assert (run["flow"], run["epoch"], run["step"]) == (asked["flow"], 1, "create")
        assert run["object"] == asked["op"]["object"]
        assert not run["hung"]
        while not run["hung"]:
            (run,) = node.next_report(running=...)["running"]
        assert run["seconds"] > 1

        set_faults(tmp_path)
        node.next()
        node.next_report(running=[])


def test_what_an_earlier_incarnation_left_is_told_a_few_times(
    settings: Settings, host: str
) -> None:
    before = Ledger(settings.node.ledger)
    before.begin(Work("volume-1", 4, "flow-1", CREATE, {"backend": "fake"}))
    before.close()  # as a process that is killed: its locks go with it

    with running_node(settings) as node:
        report = node.next_report(interrupted=...)
        assert report["incarnation"] == {"uuid": before.uuid, "number": 2}
        assert report["interrupted"] == [
            {
                "flow": "flow-1",
                "epoch": 4,
                "step": "create",
                "task": CREATE,
                "object": "volume-1",
            }
        ]
        assert report["running"] == []
        node.next_report(interrupted=[])


def test_reports_go_on_after_the_broker_was_away(
    settings: Settings, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_node_celery(settings)
    sent: list[str] = []

    def failing(*_: object, **__: object) -> None:
        sent.append("failed")
        raise OSError("no broker")

    with running_node(settings) as node:
        node.next_report()
        monkeypatch.setattr(type(app), "send_task", failing)
        while len(sent) < 3:
            time.sleep(0.05)
        monkeypatch.undo()
        node.drain()

        assert node.next_report()["sequence"] > 3


def test_a_node_with_a_new_ledger_does_nothing_that_was_ordered_before(
    settings: Settings, host: str
) -> None:
    with running_node(settings):
        pass
    for file in settings.node.ledger.parent.glob("ledger.db*"):
        file.unlink()
    lost = Ledger(settings.node.ledger)  # made anew, as after a lost disk
    lost.close()
    old, young = message(host), message(host, ledger=lost.uuid)

    with running_node(settings) as node:
        node.send(CREATE, old)
        node.send(CREATE, young)

        _, done = node.next()
        assert done["op"]["object"] == young["op"]["object"]
        assert done["reply"]["outcome"] == "done"
        assert node.quiet()
