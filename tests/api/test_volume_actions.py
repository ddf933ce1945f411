"""POST /volumes/{id}/action."""

from typing import Any

import pytest
from flask import Flask

from tests.api.conftest import PROJECT, Caller, basic, fault, volume

Submitted = list[tuple[str, dict[str, Any]]]


@pytest.fixture
def submitted(monkeypatch: pytest.MonkeyPatch) -> Submitted:
    """What reaches the engine, which is not part of this test."""
    calls: Submitted = []
    monkeypatch.setattr(
        "api.admission.submit", lambda kind, _id, payload: calls.append((kind, payload))
    )
    return calls


@pytest.mark.parametrize(
    ("body", "handed"),
    [
        ({"os-extend": {"new_size": 2}}, ("volume.extend", {"new_size_gib": 2})),
        ({"os-extend": {"new_size": "30"}}, ("volume.extend", {"new_size_gib": 30})),
        ({"os-force_delete": None}, ("volume.delete", {"force": True, "cascade": False})),
        ({"os-force_delete": {}}, ("volume.delete", {"force": True, "cascade": False})),
    ],
)
def test_an_action_starts_its_flow(
    admin: Caller,
    submitted: Submitted,
    body: dict[str, Any],
    handed: tuple[str, dict[str, Any]],
) -> None:
    response = admin.post(f"/volumes/{volume()}/action", json=body)
    assert (response.status_code, response.data) == (202, b"")
    assert submitted == [handed]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"os-no-such-action": {}},
        {"os-extend": {"new_size": 2}, "os-force_delete": {}},
        {"os-extend": {}},
        {"os-extend": None},
        {"os-extend": {"new_size": 0}},
        {"os-extend": {"new_size": 1.5}},
        {"os-extend": {"new_size": 10**12}},
        {"os-extend": {"new_size": 2, "more": 1}},
        {"os-reset_status": {}},
        {"os-reset_status": {"status": "splendid"}},
        {"os-reset_status": {"status": None}},
        {"os-set_bootable": {"bootable": "perhaps"}},
        {"os-set_bootable": {}},
    ],
)
def test_what_is_no_action_is_refused(
    admin: Caller, submitted: Submitted, body: dict[str, Any]
) -> None:
    fault(admin.post(f"/volumes/{volume()}/action", json=body), 400, "badRequest")
    assert submitted == []


def test_a_status_is_reset(admin: Caller) -> None:
    volume_id = volume(status="error")
    body = {"os-reset_status": {"status": "available", "attach_status": "detached"}}
    assert admin.post(f"/volumes/{volume_id}/action", json=body).status_code == 202
    shown = admin.get(f"/volumes/{volume_id}").get_json()["volume"]
    assert shown["status"] == "available"


def test_a_volume_becomes_bootable(admin: Caller) -> None:
    volume_id = volume()
    body = {"os-set_bootable": {"bootable": "True"}}
    assert admin.post(f"/volumes/{volume_id}/action", json=body).status_code == 200
    assert admin.get(f"/volumes/{volume_id}").get_json()["volume"]["bootable"] == "true"


@pytest.mark.parametrize(
    "body", [{"os-reset_status": {"status": "error"}}, {"os-force_delete": {}}]
)
def test_overrides_are_for_admins(
    basic_app: Flask, submitted: Submitted, body: dict[str, Any]
) -> None:
    ann, volume_id = basic(basic_app, "ann", PROJECT), volume()
    fault(ann.post(f"/volumes/{volume_id}/action", json=body), 403, "forbidden")
    assert ann.get(f"/volumes/{volume_id}").get_json()["volume"]["status"] == "available"
    assert submitted == []
