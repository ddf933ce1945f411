"""os-services, and the zones, hosts and pools that hang on the same rule of who is up."""

from typing import Any

import pytest
from flask import Flask

from tests.api import rows
from tests.api.conftest import PROJECT, Caller, basic, fault, volume

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
    rows.clock(100)
    rows.node("node1", answered_tick=95)
    rows.node("node2", answered_tick=60, availability_zone="east")
    rows.answered("scheduler", 99)


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
    pools = admin.get("/scheduler-stats/get_pools").json
    assert pools == {"pools": [{"name": "node1@file#node1-file"}]}


@pytest.mark.usefixtures("site")
def test_pools_show_their_capacity_on_request(admin: Caller) -> None:
    brief = {"pools": [{"name": f"node{n}@file#node{n}-file"} for n in (1, 2)]}
    assert admin.get("/scheduler-stats/get_pools").json == brief
    assert admin.get("/scheduler-stats/get_pools?detail=False").json == brief
    detailed = admin.get("/scheduler-stats/get_pools?detail=True").json
    assert detailed is not None
    first, second = (pool["capabilities"] for pool in detailed["pools"])
    expected = {
        "format": "raw",
        "pool_name": "node1-file",
        "volume_backend_name": "file",
        "backend_state": "up",
        "total_capacity_gb": 100.0,
        "free_capacity_gb": 70.5,
        "allocated_capacity_gb": 30,
        "claim_limit_gb": 90.0,
        "total_volumes": 3,
        "reserved_percentage": 10,
        "thin_provisioning_support": False,
        "timestamp": "2026-03-01T12:00:00.000000",
    }
    assert expected.items() <= first.items()
    assert second["backend_state"] == "down"


@pytest.mark.usefixtures("site")
def test_pools_are_found_by_name_from_3_28_on(admin: Caller) -> None:
    path = "/scheduler-stats/get_pools?name=node2@file%23node2-file"
    assert admin.get(path).json == {"pools": [{"name": "node2@file#node2-file"}]}
    older = admin.get(path, minor=27).json
    assert older is not None
    assert len(older["pools"]) == 2


@pytest.mark.usefixtures("site")
def test_a_zone_is_available_while_a_backend_in_it_takes_volumes(admin: Caller) -> None:
    def zones() -> dict[str, bool]:
        answer = admin.get("/os-availability-zone").json
        assert answer is not None
        return {
            zone["zoneName"]: zone["zoneState"]["available"]
            for zone in answer["availabilityZoneInfo"]
        }

    assert zones() == {"east": True, "nova": True}
    admin.put("/os-services/disable", json=BACKEND)
    assert zones() == {"east": True, "nova": False}


@pytest.mark.usefixtures("site")
def test_a_host_counts_its_volumes_by_project(admin: Caller) -> None:
    listed = admin.get("/os-hosts").json
    assert listed is not None
    assert [(one["host_name"], one["service-status"]) for one in listed["hosts"]] == [
        ("scheduler", "available"),
        ("node1@file", "available"),
        ("node2@file", "unavailable"),
    ]
    volume(pool_id=1, size=2)
    volume(pool_id=1, size=3, project_id="other")
    volume(pool_id=2, size=9)
    shown = admin.get("/os-hosts/node1@file").json
    assert shown is not None
    assert [
        (
            one["resource"]["project"],
            one["resource"]["volume_count"],
            one["resource"]["total_volume_gb"],
        )
        for one in shown["host"]
    ] == [("(total)", "2", "5"), (PROJECT, "1", "2"), ("other", "1", "3")]
    fault(admin.get("/os-hosts/node9@file"), 404, "itemNotFound")


def test_an_empty_site_has_a_scheduler_that_is_down(admin: Caller) -> None:
    assert states(admin) == {"scheduler": ("down", "enabled")}
    assert admin.get("/scheduler-stats/get_pools?detail=1").json == {"pools": []}
    assert admin.get("/os-availability-zone").json == {"availabilityZoneInfo": []}


def test_only_zones_are_for_users(basic_app: Flask) -> None:
    ann = basic(basic_app, "ann", PROJECT)
    for response in (
        ann.get("/os-services"),
        ann.put("/os-services/disable", json=BACKEND),
        ann.get("/scheduler-stats/get_pools"),
        ann.get("/os-hosts"),
        ann.get("/os-hosts/node1@file"),
    ):
        fault(response, 403, "forbidden")
    assert ann.get("/os-availability-zone").status_code == 200
