"""Parts are killed, and the broker emptied: every flow ends by itself, and everything is exact."""

import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

import psutil
import pytest
import requests

from tests.e2e.conftest import NODES, Lab
from tests.e2e.messages import empty, lose
from tests.processes import wait_for

AT_WORK = ("control", "scheduler", "events", "beat", "broker", "the node")
BURST = 12


@pytest.mark.parametrize("part", AT_WORK)
def test_a_part_is_killed_while_a_node_makes_a_volume(lab: Lab, project: str, part: str) -> None:
    volume, node = lab.create_that_hangs(project)
    killed = node if part == "the node" else part
    lab.stack.kill(killed)
    lab.release()
    lab.stack.start(killed)
    lab.stack.wait_for_status(volume, "available", project)
    lab.truth.settled()
    assert lab.holds(volume) == {f"{node}/volume-{volume}"}


@pytest.mark.parametrize("part", ["control", "the node"])
def test_a_part_is_killed_while_a_node_destroys_a_volume(lab: Lab, project: str, part: str) -> None:
    volume = lab.stack.create(project)
    lab.stack.wait_for_status(volume, "available", project)
    lab.faults("node1", delete=[{"fault": "hang"}])
    assert lab.stack.call("DELETE", f"/volumes/{volume}", project=project).status_code == 202
    killed = "node1" if part == "the node" else part
    assert lab.wait_for_node(volume, project) == "node1"
    lab.stack.kill(killed)
    lab.release()
    lab.stack.start(killed)
    lab.stack.wait_for_status(volume, "gone", project)
    lab.truth.settled()
    assert lab.holds(volume) == set()
    assert lab.truth.usage(project, "volumes") == (0, 0)


def test_the_broker_is_emptied_while_a_node_makes_a_volume(lab: Lab, project: str) -> None:
    volume, node = lab.create_that_hangs(project)
    empty(lab.stack)
    lab.release()
    lab.stack.wait_for_status(volume, "available", project)
    lab.truth.settled()
    assert lab.holds(volume) == {f"{node}/volume-{volume}"}


def test_a_message_that_waits_for_its_node_is_lost(lab: Lab, project: str) -> None:
    """The broker is emptied before the node has seen it."""
    lab.stack.kill("node1")
    volume = lab.stack.create(project)
    lose(lab.stack, "node.node1", volume)
    lab.stack.start("node1")
    lab.stack.wait_for_status(volume, "available", project)
    lab.truth.settled()


@pytest.fixture
def patient_lab(lab: Lab) -> Iterator[Lab]:
    """One whose API waits long for an admission."""
    lab.stack.kill("api")
    lab.stack.start("api", API__ADMISSION_TIMEOUT="45")
    lab.stack.wait_until_up()
    yield lab
    lab.stack.kill("api")


def test_a_request_whose_chain_is_lost_is_admitted_all_the_same(
    patient_lab: Lab, project: str
) -> None:
    stack = patient_lab.stack
    stack.kill("control")
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(stack.post_volume, project)
        (flow,) = wait_for(lambda: stack.flows_of(project))
        lose(stack, "control", flow["id"])
        stack.start("control")
        assert answer.result().status_code == 202
    patient_lab.truth.settled()
    assert [row.status for row in patient_lab.truth.volumes(project)] == ["available"]


def test_a_node_that_stays_away_is_replaced(lab: Lab, project: str) -> None:
    volume, node = lab.create_that_hangs(project)
    assert node == "node1"
    lab.stack.kill("node1")
    lab.release()
    lab.stack.wait_for_status(volume, "available", project)
    shown = lab.stack.volume(volume, project)
    assert shown is not None
    assert shown["os-vol-host-attr:host"] == "node2@fake#fake"
    assert lab.truth.residues() == [f"node1/volume-{volume}"]
    lab.truth.settled(residues=1)

    lab.stack.start("node1")

    lab.truth.settled()
    assert lab.holds(volume) == {f"node2/volume-{volume}.1"}


def test_a_volume_on_a_node_that_is_away_is_deleted_when_it_is_back(lab: Lab, project: str) -> None:
    volume = lab.stack.create(project)
    lab.stack.wait_for_status(volume, "available", project)
    lab.stack.kill("node1")
    assert lab.stack.call("DELETE", f"/volumes/{volume}", project=project).status_code == 202
    lab.stack.wait_for_status(volume, "error_deleting", project)
    lab.truth.settled(residues=1)
    assert lab.truth.usage(project, "volumes") == (1, 0)

    lab.stack.start("node1")

    lab.stack.wait_for_status(volume, "gone", project)
    lab.truth.settled()
    assert lab.truth.usage(project, "volumes") == (0, 0)


def test_a_node_that_only_pauses_changes_nothing_that_others_did_meanwhile(
    lab: Lab, project: str
) -> None:
    """It wakes up with an old message at hand, while the volume is elsewhere already."""
    with lab.stack.paused("node1"):
        volume = lab.stack.create(project)
        lab.stack.wait_for_status(volume, "available", project)
    lab.truth.settled()
    assert lab.holds(volume) == {f"node2/volume-{volume}.1"}


def kill_children(lab: Lab) -> None:
    """Kill the processes in which the control worker runs its tasks, one after the other."""
    for _ in range(6):
        for child in lab.stack.running["control"].below():
            with suppress(psutil.NoSuchProcess):
                child.kill()
        time.sleep(0.2)


def kill_and_start(*names: str) -> Callable[[Lab], None]:
    def act(lab: Lab) -> None:
        lab.stack.kill(*names)
        lab.stack.start(*names)

    return act


def power_cut(lab: Lab) -> None:
    """Everything at once, the broker and the API too."""
    kill_and_start(*lab.stack.core)(lab)


def empty_the_broker(lab: Lab) -> None:
    for _ in range(3):
        empty(lab.stack)
        time.sleep(0.1)


TROUBLES: dict[str, Callable[[Lab], None]] = {
    "children of control": kill_children,
    "control": kill_and_start("control"),
    "scheduler": kill_and_start("scheduler"),
    "nodes": kill_and_start(*NODES),
    "events and beat": kill_and_start("events", "beat"),
    "api": kill_and_start("api"),
    "broker": kill_and_start("broker"),
    "broker emptied": empty_the_broker,
    "power cut": power_cut,
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_in_the_middle_of_many_creates(lab: Lab, project: str, trouble: str) -> None:
    """202 is a volume, 503 and 4xx are none; where the connection broke it is one or none."""
    for node in NODES:
        lab.faults(node, create=[{"fault": "hang", "seconds": 0.15}])
    quota = {"quota_set": {"volumes": -1}}
    assert lab.stack.call("PUT", f"/os-quota-sets/{project}", quota).status_code == 200
    with ThreadPoolExecutor(1) as pool:
        burst: Future[list[requests.Response | None]] = pool.submit(
            lab.stack.create_many, project, BURST
        )
        wait_for(lambda: lab.truth.volumes(project), doing="the first volumes")
        TROUBLES[trouble](lab)
        answers = burst.result()
    lab.stack.heal()
    lab.truth.settled()

    told = [answer for answer in answers if answer is not None]
    assert {answer.status_code for answer in told} <= {202, 503}
    admitted = {answer.json()["volume"]["id"] for answer in told if answer.status_code == 202}
    volumes = {row.id: row.status for row in lab.truth.volumes(project)}
    assert admitted <= volumes.keys()
    assert set(volumes.values()) <= {"available", "error"}
    assert len(volumes) <= len(admitted) + answers.count(None)
    if trouble not in ("nodes", "power cut"):  # without nodes for a while there is no room
        assert set(volumes.values()) <= {"available"}
    delete_all(lab, project)


def delete_all(lab: Lab, project: str) -> None:
    for row in lab.truth.volumes(project):
        answer = lab.stack.call("DELETE", f"/volumes/{row.id}", project=project)
        assert answer.status_code == 202
    lab.truth.settled()
    assert lab.truth.volumes(project) == []
    assert lab.truth.usage(project, "volumes") == (0, 0)


def test_two_of_everything_do_each_thing_once(lab: Lab, project: str) -> None:
    more = ("control2", "scheduler2", "events2", "beat2")
    lab.stack.start(*more)
    wait_for(lambda: all("worker.ready" in lab.stack.tail(name) for name in more[:3]))
    before, since = lab.truth.tick(), time.monotonic()
    answers = lab.stack.create_many(project, 10)
    assert {answer.status_code for answer in answers if answer is not None} == {202}
    lab.truth.settled()
    volumes = lab.truth.volumes(project)
    assert [row.status for row in volumes] == ["available"] * 10
    for row in volumes:
        (flow,) = lab.stack.flows(row.id, project)
        names = [step["step"] for step in flow["steps"]]
        assert len(names) == len(set(names)) == 7
    wait_for(lambda: time.monotonic() - since > 3)
    # a second beat must not make time run twice as fast
    assert lab.truth.tick() - before <= (time.monotonic() - since) / lab.stack.interval * 1.35 + 1
    delete_all(lab, project)


def test_a_worker_that_is_asked_to_stop_finishes_or_gives_back(lab: Lab, project: str) -> None:
    with ThreadPoolExecutor(1) as pool:
        burst = pool.submit(lab.stack.create_many, project, 8)
        wait_for(lambda: lab.truth.volumes(project), doing="the first volumes")
        lab.stack.running["control"].send(signal.SIGTERM)
        lab.stack.running["control"].process.wait(30)
        lab.stack.start("control")
        answers = burst.result()
    assert {answer.status_code for answer in answers if answer is not None} <= {202, 503}
    lab.truth.settled()
    assert {row.status for row in lab.truth.volumes(project)} == {"available"}
