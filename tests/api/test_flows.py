"""What requests did, step by step, for those whom it concerns."""

from typing import Any

import pytest
from flask import Flask

from db.models import new_id
from tests.api import rows
from tests.api.conftest import PROJECT, Caller, basic, fault


def ids(caller: Caller, query: str = "") -> list[str]:
    response = caller.get(f"/flows{query}")
    assert response.status_code == 200, response.text
    assert response.json is not None
    return [one["id"] for one in response.json["flows"]]


def test_the_newest_flow_comes_first(admin: Caller) -> None:
    made = [rows.flow(minute) for minute in range(3)]
    assert ids(admin) == made[::-1]
    assert ids(admin, "?sort=created_at:asc") == made


@pytest.mark.parametrize("name", ["state", "kind", "resource_id", "request_id"])
def test_flows_are_filtered(admin: Caller, name: str) -> None:
    values = {
        "state": "failed",
        "kind": "volume.delete",
        "resource_id": new_id(),
        "request_id": f"req-{new_id()}",
    }
    rows.flow(0)
    wanted = rows.flow(1, **{name: values[name]})
    assert ids(admin, f"?{name}={values[name]}") == [wanted]


def test_flows_come_in_pages(admin: Caller) -> None:
    made = [rows.flow(minute) for minute in range(5)][::-1]
    path, seen = "/flows?limit=2&kind=volume.create", []
    while path:
        answer = admin.get(path).json
        assert answer is not None
        seen += [one["id"] for one in answer["flows"]]
        link = answer.get("flows_links")
        path = link[0]["href"].split(f"/v3/{PROJECT}", 1)[1] if link else ""
    assert seen == made
    fault(admin.get("/flows?marker=nowhere"), 404, "itemNotFound")


def test_a_flow_shows_its_steps_in_order(admin: Caller) -> None:
    error = {"type": "DriverError", "message": "disk full"}
    flow_id = rows.flow(state="failed", error=error, attempt=2, excluded_hosts=["node1"])
    rows.step(flow_id, 2, "create", outcome="clean", node="node1", error=error)
    rows.step(flow_id, 1, "schedule", result={"pool": "node1@file#p"})
    rows.step(flow_id, 3, "schedule", undo=True, epoch=2)
    answer = admin.get(f"/flows/{flow_id}").json
    assert answer is not None
    flow = answer["flow"]
    assert flow["error"] == error
    assert flow["duration_ms"] == 2000.0
    assert (flow["attempt"], flow["excluded_hosts"]) == (2, ["node1"])
    assert [(one["step"], one["undo"], one["outcome"]) for one in flow["steps"]] == [
        ("schedule", False, "done"),
        ("create", False, "clean"),
        ("schedule", True, "done"),
    ]
    assert flow["steps"][0]["result"] == {"pool": "node1@file#p"}
    assert flow["steps"][1] == {
        "seq": 2,
        "step": "create",
        "undo": False,
        "outcome": "clean",
        "node": "node1",
        "attempt": 1,
        "epoch": 1,
        "started_at": "2026-03-01T12:00:00.000000",
        "finished_at": "2026-03-01T12:00:00.025000",
        "duration_ms": 25.0,
        "result": {},
        "error": error,
    }


def test_a_running_flow_has_no_end_yet(admin: Caller) -> None:
    flow_id = rows.flow(state="running", finished_at=None)
    answer = admin.get(f"/flows/{flow_id}").json
    assert answer is not None
    assert answer["flow"]["finished_at"] is None
    assert answer["flow"]["duration_ms"] is None
    assert answer["flow"]["steps"] == []


def test_a_resource_and_a_request_show_all_their_flows(admin: Caller) -> None:
    resource, request = new_id(), f"req-{new_id()}"
    rows.flow(0)
    older = rows.flow(1, resource_id=resource)
    newer = rows.flow(2, resource_id=resource, request_id=request)
    rows.step(older, 1, "extract")
    answer = admin.get(f"/flows/{resource}").json
    assert answer is not None
    assert [one["id"] for one in answer["flows"]] == [newer, older]
    assert [len(one["steps"]) for one in answer["flows"]] == [0, 1]
    answer = admin.get(f"/flows/{request}").json
    assert answer is not None
    assert [one["id"] for one in answer["flows"]] == [newer]
    fault(admin.get(f"/flows/{new_id()}"), 404, "itemNotFound")


def test_no_secret_is_shown(admin: Caller) -> None:
    flow_id = rows.flow(payload={"password": "hunter2"}, error={"type": "E", "token": "hunter2"})
    result: dict[str, Any] = {
        "auth_password": "hunter2",
        "target": [{"chapSecret": "hunter2", "encryption_key": "hunter2", "port": 3260}],
        "key": "hunter2",
        "provider_location": "volume-1",
    }
    rows.step(flow_id, 1, "create", result=result)
    response = admin.get(f"/flows/{flow_id}")
    assert "hunter2" not in response.text
    assert response.json is not None
    shown = response.json["flow"]["steps"][0]["result"]
    assert shown["provider_location"] == "volume-1"
    assert shown["target"][0]["port"] == 3260
    assert "hunter2" not in admin.get("/flows").text


def test_a_project_sees_its_own_flows_only(basic_app: Flask) -> None:
    mine = rows.flow(0, project_id=PROJECT)
    others = rows.flow(1, project_id="other")
    ann, root = basic(basic_app, "ann", PROJECT), basic(basic_app, "root", "ops")
    assert ids(ann) == [mine]
    assert ids(root) == [others, mine]
    assert ann.get(f"/flows/{mine}").status_code == 200
    fault(ann.get(f"/flows/{others}"), 404, "itemNotFound")
    fault(ann.get(f"/flows?marker={others}"), 404, "itemNotFound")
    assert root.get(f"/flows/{others}").status_code == 200


@pytest.mark.parametrize("action", ["retry", "cancel"])
def test_a_flow_that_has_ended_is_left_alone(admin: Caller, action: str) -> None:
    flow_id = rows.flow(state="succeeded")
    answer = admin.post(f"/flows/{flow_id}/action", json={action: {}})
    assert "succeeded" in fault(answer, 409, "conflictingRequest")
    answer = admin.post(f"/flows/{new_id()}/action", json={action: {}})
    fault(answer, 404, "itemNotFound")


@pytest.mark.parametrize("body", [{}, {"retry": {}, "cancel": {}}, {"stop": {}}, {"retry": None}])
def test_what_is_no_action_on_a_flow_is_refused(admin: Caller, body: dict[str, Any]) -> None:
    fault(admin.post(f"/flows/{rows.flow()}/action", json=body), 400, "badRequest")
