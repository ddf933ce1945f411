"""Services, and who of them is up."""

from typing import Any

import pytest
from flask import Flask

from tests.api import rows
from tests.api.conftest import PROJECT, Caller, basic, fault

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
