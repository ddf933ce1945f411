"""What a whole installation shows: pinned tasks, users and roles, the pipeline in Flower."""

import time
from collections import Counter
from pathlib import Path
from typing import Any

import bcrypt
import psutil
import pytest
import requests

from config.celery import make_app
from config.settings import load
from tests.e2e.conftest import Lab, Site
from tests.e2e.messages import bodies, empty
from tests.e2e.test_volumes import STEPS
from tests.processes import free_ports, wait_for
from tests.stack import FLOWER_LOGIN, MICROVERSION, Stack


def test_a_nodes_task_runs_nowhere_else(lab: Lab, project: str) -> None:
    """With its node away it waits in that node's queue, though other nodes have nothing to do."""
    lab.stack.kill("node1")
    before = lab.truth.objects()
    app = make_app("tests", load(environ={"BREEZEBLOCK_BROKER__URL": lab.stack.broker_url}))
    volume = "5f0b7a52-92a8-4f0c-9d3e-5a5b1f6f0c11"
    message: dict[str, Any] = {
        **{"v": 1, "flow": volume, "kind": "volume.create", "epoch": 1, "resource": volume},
        **{"request_id": "req-1", "project": project, "ctx": {}, "reply": None, "node": "node1"},
        "op": {
            **{"verb": "create", "backend": "fake", "pool": "fake", "object": f"volume-{volume}"},
            **{"volume_id": volume, "size_gib": 1, "spec": {}},
        },
    }
    app.send_task("volume.create.create", args=[message])
    time.sleep(2)
    assert any(volume in body for body in bodies(lab.stack, "node.node1"))
    assert lab.truth.objects() == before
    empty(lab.stack)


def test_every_volume_is_where_its_row_says(site: Site, project: str) -> None:
    for _ in range(4):
        site.stack.create(project)
    site.truth.settled()
    for row in site.truth.volumes(project):
        assert row.host is not None
        host = row.host.partition("@")[0]
        assert (site.folder(host) / row.object_name).is_file()
        (flow,) = site.stack.flows(row.id, project)
        assert {step["node"] for step in flow["steps"] if step["node"]} == {host}


def test_a_drained_node_gets_nothing_new(lab: Lab, project: str) -> None:
    assert lab.stack.call("POST", "/nodes/node1/action", {"drain": {}}).ok
    try:
        volume = lab.stack.create(project)
        lab.stack.wait_for_status(volume, "available", project)
        assert lab.holds(volume) == {f"node2/volume-{volume}"}
    finally:
        assert lab.stack.call("POST", "/nodes/node1/action", {"undrain": {}}).ok
    lab.truth.settled()


def test_the_seven_tasks_of_a_create_in_flower(site: Site, project: str) -> None:
    stack = site.stack
    stack.start("flower")
    flower = f"http://127.0.0.1:{stack.flower_port}"
    wait_for(lambda: serves(f"{flower}/healthcheck"), doing="Flower")
    wait_for(lambda: "control@" in ask_flower(f"{flower}/workers").text)

    def seen() -> Counter[str]:
        tasks = ask_flower(f"{flower}/api/tasks").json().values()
        return Counter(task["name"] for task in tasks if task["state"] == "SUCCESS")

    wanted = {f"volume.create.{step}" for step in STEPS}

    def all_seen() -> bool:
        # Workers send events from when Flower has asked them, so an early volume may go unseen.
        volume = stack.create(project)
        stack.wait_for_status(volume, "available", project)
        stack.call("DELETE", f"/volumes/{volume}", project=project)
        stack.wait_for_status(volume, "gone", project)
        time.sleep(0.5)
        return wanted <= seen().keys()

    wait_for(all_seen)
    assert "volume.delete.destroy" in seen()


def serves(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except requests.ConnectionError:
        return False


def ask_flower(url: str) -> requests.Response:
    answer = requests.get(url, auth=FLOWER_LOGIN, timeout=10)
    assert answer.ok, answer.text
    return answer


# -- users ----------------------------------------------------------------------------------------


class Guarded:
    """A second API of a stack that wants a user and a password."""

    def __init__(self, stack: Stack, port: int) -> None:
        self.stack, self._root = stack, f"http://127.0.0.1:{port}/v3"

    def ask(
        self, user: str, method: str, project: str, path: str, body: Any = None, **options: Any
    ) -> requests.Response:
        login = (user, options.get("password", f"{user}-secret")) if user else None
        url = f"{self._root}/{project}{path}"
        return requests.request(
            method, url, json=body, auth=login, headers=MICROVERSION, timeout=30
        )


@pytest.fixture
def guarded(site: Site, tmp_path: Path, project: str) -> Guarded:
    users = (("root", "ops", "admin"), ("ann", project, "member"), ("bob", "other", "member"))
    lines = []
    for user, of, roles in users:
        hashed = bcrypt.hashpw(f"{user}-secret".encode(), bcrypt.gensalt(4)).decode()
        lines.append(f"{user}:{hashed}:{of}:{roles}\n")
    passwords = tmp_path / "passwords"
    passwords.write_text("".join(lines))
    (port,) = free_ports(1)
    site.stack.start(
        "api2",
        API__PORT=str(port),
        API__AUTH="http_basic",
        API__PASSWORD_FILE=str(passwords),
    )
    wait_for(lambda: serves(f"http://127.0.0.1:{port}/"), doing="the second API")
    return Guarded(site.stack, port)


def test_users_see_their_project_only(guarded: Guarded, project: str) -> None:
    ask = guarded.ask
    for answer in (
        ask("", "GET", project, "/volumes"),
        ask("ann", "GET", project, "/volumes", password="guess"),
        ask("nobody", "GET", project, "/volumes"),
    ):
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Basic")

    made = ask("ann", "POST", project, "/volumes", {"volume": {"size": 1, "name": "hers"}})
    assert made.status_code == 202
    volume = made.json()["volume"]["id"]
    guarded.stack.wait_for_status(volume, "available", project)

    assert ask("ann", "GET", project, f"/volumes/{volume}").json()["volume"]["name"] == "hers"
    assert ask("bob", "GET", "other", f"/volumes/{volume}").status_code == 404
    assert ask("bob", "DELETE", "other", f"/volumes/{volume}").status_code == 404
    assert ask("bob", "GET", "other", f"/flows/{volume}").status_code == 404
    assert ask("bob", "GET", "other", "/volumes").json()["volumes"] == []
    assert ask("bob", "GET", project, "/volumes").status_code in (400, 403, 404)
    assert ask("root", "GET", project, f"/volumes/{volume}").status_code == 200


def test_what_only_an_administrator_may(guarded: Guarded, project: str) -> None:
    made = guarded.ask("ann", "POST", project, "/volumes", {"volume": {"size": 1}})
    volume = made.json()["volume"]["id"]
    guarded.stack.wait_for_status(volume, "available", project)
    shown = guarded.ask("ann", "GET", project, f"/volumes/{volume}").json()["volume"]
    assert "os-vol-host-attr:host" not in shown
    for method, path, body in (
        ("GET", "/os-services", None),
        ("PUT", f"/os-quota-sets/{project}", {"quota_set": {"volumes": 99}}),
        ("POST", "/types", {"volume_type": {"name": "mine"}}),
        ("POST", f"/volumes/{volume}/action", {"os-reset_status": {"status": "error"}}),
    ):
        assert guarded.ask("ann", method, project, path, body).status_code == 403, path
    shown = guarded.ask("root", "GET", project, f"/volumes/{volume}").json()["volume"]
    assert "os-vol-host-attr:host" in shown
    assert guarded.ask("ann", "DELETE", project, f"/volumes/{volume}").status_code == 202
    guarded.stack.wait_for_status(volume, "gone", project)


def test_no_node_is_told_of_the_database(site: Site) -> None:
    """Neither is beat; the others are, or they could do nothing."""
    for name, part in site.stack.running.items():
        told = "BREEZEBLOCK_DATABASE__URL" in psutil.Process(part.pid).environ()
        assert told == (name in ("api", "control", "scheduler", "events")), name
