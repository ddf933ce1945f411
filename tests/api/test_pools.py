"""Pools and their capacity."""

import pytest
from flask import Flask

from tests.api import rows
from tests.api.conftest import PROJECT, Caller, basic, fault


@pytest.fixture
def site(app: Flask) -> None:
    """node1 answers; node2 has been silent for too long."""
    rows.two_nodes()


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


def test_a_forgotten_nodes_pool_is_gone(admin: Caller) -> None:
    rows.node("node1", state="draining")
    rows.node("node2", state="forgotten")
    pools = admin.get("/scheduler-stats/get_pools").json
    assert pools == {"pools": [{"name": "node1@file#node1-file"}]}


def test_an_empty_site_has_no_pools(admin: Caller) -> None:
    assert admin.get("/scheduler-stats/get_pools?detail=1").json == {"pools": []}
    fault(admin.get("/scheduler-stats/get_pools?detail=some"), 400, "badRequest")


def test_pools_are_for_administrators(basic_app: Flask) -> None:
    response = basic(basic_app, "ann", PROJECT).get("/scheduler-stats/get_pools")
    fault(response, 403, "forbidden")
