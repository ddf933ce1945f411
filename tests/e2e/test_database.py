"""The database is away for a while: no answer is a lie, and every flow ends when it is back."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from tests.e2e.conftest import NODES, Lab, make_lab
from tests.postgresql import Server, private_server
from tests.processes import wait_for


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Lab, Server]]:
    with ExitStack() as ending:
        server = ending.enter_context(private_server())
        url = ending.enter_context(server.database())
        lab = make_lab(tmp_path_factory.mktemp("database-lab"), url)
        ending.callback(lab.truth.close)
        ending.callback(lab.stack.close)
        lab.stack.start()
        yield lab, server


@pytest.fixture
def lab(running: tuple[Lab, Server]) -> Lab:
    running[0].release()
    running[0].stack.heal()
    return running[0]


@pytest.fixture
def server(running: tuple[Lab, Server]) -> Server:
    """The server of `lab`, which nothing else uses."""
    return running[1]


def test_it_is_away_while_a_node_makes_a_volume(lab: Lab, server: Server, project: str) -> None:
    volume, node = lab.create_that_hangs(project)
    server.kill()
    lab.release()
    time.sleep(3)  # the node is done, and nobody can write it down
    server.start()
    lab.stack.wait_for_status(volume, "available", project)
    lab.truth.settled()
    assert lab.holds(volume) == {f"{node}/volume-{volume}"}


def test_it_crashes_in_the_middle_of_many_creates(lab: Lab, server: Server, project: str) -> None:
    for node in NODES:
        lab.faults(node, create=[{"fault": "hang", "seconds": 0.15}])
    quota = {"quota_set": {"volumes": -1}}
    assert lab.stack.call("PUT", f"/os-quota-sets/{project}", quota).status_code == 200
    with ThreadPoolExecutor(1) as pool:
        burst = pool.submit(lab.stack.create_many, project, 12)
        wait_for(lambda: lab.truth.volumes(project), doing="the first volumes")
        server.kill()
        server.start()
        answers = burst.result()
    lab.truth.settled()

    told = [answer for answer in answers if answer is not None]
    assert {answer.status_code for answer in told} <= {202, 503}
    admitted = {answer.json()["volume"]["id"] for answer in told if answer.status_code == 202}
    volumes = {row.id: row.status for row in lab.truth.volumes(project)}
    assert admitted <= volumes.keys()
    assert len(volumes) <= len(admitted) + answers.count(None)
    assert set(volumes.values()) <= {"available"}


def test_without_it_a_request_makes_nothing(lab: Lab, server: Server, project: str) -> None:
    server.kill()
    answer = lab.stack.post_volume(project)
    assert answer.status_code == 503
    assert "Retry-After" in answer.headers
    server.start()
    lab.truth.settled()
    assert lab.truth.volumes(project) == []
