"""Storage nodes, and taking one out of service."""

from typing import Any

import pytest
from flask import Flask

from db.models import Pool, Residue
from db.transactions import reading
from tests.api import rows
from tests.api.conftest import PROJECT, Caller, basic, fault


def nodes(caller: Caller) -> dict[str, dict[str, Any]]:
    response = caller.get("/nodes")
    assert response.status_code == 200, response.text
    assert response.json is not None
    return {node["host"]: node for node in response.json["nodes"]}


@pytest.fixture
def site(app: Flask) -> None:
    """node1 answers; node2 has been silent for too long and may have something left."""
    rows.clock(100)
    rows.node("node1", answered_tick=100, running=[{"object": "volume-1", "token": "hunter2"}])
    rows.node("node2", answered_tick=1, incarnation=3)
    rows.residue(host="node2", pool_id=2, gib=4, volumes=1)


@pytest.mark.usefixtures("site")
def test_a_node_shows_what_it_does(admin: Caller) -> None:
    found = nodes(admin)
    assert found["node1"] == {
        "host": "node1",
        "state": "active",
        "up": True,
        "availability_zone": "nova",
        "incarnation": 1,
        "reported_at": "2026-03-01T12:00:00.000000",
        "backends": [
            {
                "name": "node1@file",
                "driver": "file",
                "up": True,
                "reason": None,
                "enabled": True,
                "disabled_reason": None,
            }
        ],
        "running": [{"object": "volume-1", "token": "***"}],
        "residues": 0,
    }
    assert found["node2"]["up"] is False
    assert found["node2"]["backends"][0]["up"] is False
    assert (found["node2"]["incarnation"], found["node2"]["residues"]) == (3, 1)
    assert admin.get("/nodes/node1").json == {"node": found["node1"]}
    fault(admin.get("/nodes/node9"), 404, "itemNotFound")


@pytest.mark.usefixtures("site")
def test_a_node_is_drained_and_undrained(admin: Caller) -> None:
    response = admin.post("/nodes/node1/action", json={"drain": {}})
    assert response.status_code == 200
    assert response.json is not None
    assert response.json["node"]["state"] == "draining"
    assert nodes(admin)["node2"]["state"] == "active"
    again = admin.post("/nodes/node1/action", json={"drain": {}})
    assert again.status_code == 200
    response = admin.post("/nodes/node1/action", json={"undrain": {}})
    assert response.status_code == 200
    assert nodes(admin)["node1"]["state"] == "active"


@pytest.mark.usefixtures("site")
def test_a_node_that_is_up_is_not_forgotten(admin: Caller) -> None:
    response = admin.post("/nodes/node1/action", json={"forget": {}})
    assert "up" in fault(response, 409, "conflictingRequest")
    assert nodes(admin)["node1"]["state"] == "active"


@pytest.mark.usefixtures("site")
def test_forgetting_a_node_writes_its_residues_off(admin: Caller) -> None:
    response = admin.post("/nodes/node2/action", json={"forget": {}})
    assert response.status_code == 200, response.text
    assert response.json is not None
    assert response.json["node"]["state"] == "forgotten"
    assert response.json["node"]["residues"] == 0
    with reading() as tx:
        assert tx.query(Residue).count() == 0
        pool = tx.get_one(Pool, 2)
        assert (pool.taken_gib, pool.volumes) == (26, 2)
    refused = admin.post("/nodes/node2/action", json={"drain": {}})
    assert "undrain" in fault(refused, 409, "conflictingRequest")
    back = admin.post("/nodes/node2/action", json={"undrain": {}})
    assert back.json is not None
    assert back.json["node"]["state"] == "active"


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize(
    ("host", "body", "status"),
    [
        ("node1", {}, 400),
        ("node1", {"drain": {}, "forget": {}}, 400),
        ("node1", {"reboot": {}}, 400),
        ("node1", {"drain": None}, 400),
        ("node9", {"drain": {}}, 404),
    ],
)
def test_what_is_no_action_is_refused(
    admin: Caller, host: str, body: dict[str, Any], status: int
) -> None:
    name = "badRequest" if status == 400 else "itemNotFound"
    fault(admin.post(f"/nodes/{host}/action", json=body), status, name)
    assert {node["state"] for node in nodes(admin).values()} == {"active"}


def test_nodes_are_for_administrators(basic_app: Flask) -> None:
    ann = basic(basic_app, "ann", PROJECT)
    rows.node("node1")
    for response in (
        ann.get("/nodes"),
        ann.get("/nodes/node1"),
        ann.post("/nodes/node1/action", json={"drain": {}}),
    ):
        fault(response, 403, "forbidden")
