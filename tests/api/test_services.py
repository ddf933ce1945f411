"""Services, and who of them is up."""

from typing import Any

import pytest
from flask import Flask

from config.settings import load
from db import db
from db.pools import pool_states
from tests.api import rows
from tests.api.conftest import PROJECT, Caller, basic, fault

SETTINGS = load(environ={})
BACKEND = {"host": "node1@file", "binary": "cinder-volume"}


def services(caller: Caller, query: str = "", minor: int = 71) -> list[dict[str, Any]]:
    response = caller.get(f"/os-services{query}", minor=minor)
    assert response.status_code == 200, response.text
    assert response.json is not None
    return list(response.json["services"])


def states(caller: Caller) -> dict[str, tuple[str, str]]:
    return {one["host"]: (one["state"], one["status"]) for one in services(caller)}


@pytest.fixture
def site(app: Flask) -> None:
    """node1 answers; node2 has been silent for too long."""
    rows.two_nodes()


@pytest.mark.usefixtures("site")
def test_who_answers_is_up(admin: Caller) -> None:
    assert states(admin) == {
        "scheduler": ("up", "enabled"),
        "node1@file": ("up", "enabled"),
        "node2@file": ("down", "enabled"),
    }
    rows.answered("scheduler", 20)
    rows.answered("node.node2", 99)
    assert states(admin) == {
        "scheduler": ("down", "enabled"),
        "node1@file": ("up", "enabled"),
        "node2@file": ("up", "enabled"),
    }


@pytest.mark.usefixtures("site")
def test_a_service_is_shown_as_clients_read_it(admin: Caller) -> None:
    oldest = services(admin, "?binary=cinder-volume&host=node1@file", minor=0)
    assert oldest == [
        {
            "binary": "cinder-volume",
            "host": "node1@file",
            "zone": "nova",
            "status": "enabled",
            "state": "up",
            "updated_at": "2026-03-01T12:00:00.000000",
            "disabled_reason": None,
            "replication_status": "disabled",
            "active_backend_id": None,
            "frozen": False,
        }
    ]
    (newest,) = services(admin, "?binary=cinder-volume&host=node1@file")
    assert newest == oldest[0] | {"cluster": None, "backend_state": "up"}


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize(
    ("query", "hosts"),
    [
        ("?binary=cinder-scheduler", ["scheduler"]),
        ("?service=cinder-volume", ["node1@file", "node2@file"]),
        ("?host=node2", ["node2@file"]),
        ("?host=node2@file&binary=cinder-scheduler", []),
        ("?host=node", []),
    ],
)
def test_services_are_filtered(admin: Caller, query: str, hosts: list[str]) -> None:
    assert [one["host"] for one in services(admin, query)] == hosts


@pytest.mark.usefixtures("site")
def test_a_backend_is_disabled_and_enabled(admin: Caller) -> None:
    reason = BACKEND | {"disabled_reason": "new disks"}
    response = admin.put("/os-services/disable-log-reason", json=reason)
    assert response.json == {
        "host": "node1@file",
        "service": "",
        "binary": "cinder-volume",
        "status": "disabled",
        "disabled": True,
        "disabled_reason": "new disks",
    }
    (shown,) = services(admin, "?host=node1")
    assert (shown["status"], shown["disabled_reason"]) == ("disabled", "new disks")
    response = admin.put("/os-services/enable", json=BACKEND)
    assert response.json is not None
    assert response.json["status"] == "enabled"
    (shown,) = services(admin, "?host=node1")
    assert (shown["status"], shown["disabled_reason"]) == ("enabled", None)
    assert admin.put("/os-services/disable", json=BACKEND).status_code == 200
    assert states(admin)["node1@file"] == ("up", "disabled")
    assert states(admin)["node2@file"] == ("down", "enabled")


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize(
    ("action", "body", "status", "name"),
    [
        ("disable", {"host": "node9@file", "binary": "cinder-volume"}, 404, "itemNotFound"),
        ("disable", {"host": "node1@file"}, 400, "badRequest"),
        ("disable", {"binary": "cinder-volume"}, 400, "badRequest"),
        ("disable", {"host": "scheduler", "binary": "cinder-scheduler"}, 400, "badRequest"),
        ("disable-log-reason", BACKEND, 400, "badRequest"),
        ("disable-log-reason", BACKEND | {"disabled_reason": " "}, 400, "badRequest"),
        ("disable-log-reason", BACKEND | {"disabled_reason": "x" * 256}, 400, "badRequest"),
        ("explode", BACKEND, 404, "itemNotFound"),
    ],
)
def test_what_disables_nothing_is_refused(
    admin: Caller, action: str, body: dict[str, str], status: int, name: str
) -> None:
    fault(admin.put(f"/os-services/{action}", json=body), status, name)
    assert states(admin)["node1@file"] == ("up", "enabled")


def test_a_node_that_drains_takes_nothing_and_a_forgotten_one_is_gone(admin: Caller) -> None:
    rows.node("node1", answered_tick=1, state="draining")
    rows.node("node2", answered_tick=1, state="forgotten")
    (shown,) = services(admin, "?binary=cinder-volume")
    assert (shown["host"], shown["status"]) == ("node1@file", "disabled")
    assert "draining" in shown["disabled_reason"]


def test_an_empty_site_has_a_scheduler_that_is_down(admin: Caller) -> None:
    assert states(admin) == {"scheduler": ("down", "enabled")}


def test_services_are_for_administrators(basic_app: Flask) -> None:
    ann = basic(basic_app, "ann", PROJECT)
    for response in (
        ann.get("/os-services"),
        ann.put("/os-services/disable", json=BACKEND),
    ):
        fault(response, 403, "forbidden")


@pytest.mark.usefixtures("site")
def test_a_frozen_backend_takes_nothing_until_it_is_thawed(admin: Caller) -> None:
    assert admin.put("/os-services/freeze", json={"host": "node1@file"}).status_code == 202
    (frozen,) = services(admin, "?host=node1@file")
    assert (frozen["frozen"], frozen["status"]) == (True, "disabled")
    assert frozen["disabled_reason"] == "frozen"
    (pool,) = (one for one in pool_states(db.session(), SETTINGS) if one.host == "node1")
    assert not pool.enabled

    assert admin.put("/os-services/thaw", json={"host": "node1"}).status_code == 202
    (thawed,) = services(admin, "?host=node1@file")
    assert (thawed["frozen"], thawed["status"]) == (False, "enabled")


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize("action", ["freeze", "thaw", "failover_host", "failover"])
def test_what_is_done_to_a_host_wants_a_host(admin: Caller, action: str) -> None:
    path = f"/os-services/{action}"
    fault(admin.put(path, json={"host": "nowhere"}), 404, "itemNotFound")
    assert "host" in fault(admin.put(path, json={}), 400, "badRequest")


@pytest.mark.usefixtures("site")
def test_no_backend_fails_over(admin: Caller) -> None:
    body = {"host": "node1@file", "backend_id": "site2"}
    text = fault(admin.put("/os-services/failover_host", json=body), 400, "badRequest")
    assert "no replication target" in text
    fault(admin.put("/os-services/failover", json=body, minor=25), 404, "itemNotFound")


def test_a_member_freezes_nothing(basic_app: Flask) -> None:
    rows.two_nodes()
    ann = basic(basic_app, "ann", PROJECT)
    for action in ("freeze", "thaw", "failover_host"):
        body = {"host": "node1@file"}
        fault(ann.put(f"/os-services/{action}", json=body), 403, "forbidden")
