"""Who may use a private volume type."""

from typing import Any

import pytest
from flask import Flask

from tests.api.conftest import PROJECT, Caller, basic, fault
from tests.api.test_volume_types import PRIVATE, create, names


def test_a_private_type_is_for_those_let_in(basic_app: Flask) -> None:
    root = basic(basic_app, "root", "ops")
    ann, bob = basic(basic_app, "ann", PROJECT), basic(basic_app, "bob", "other")
    type_id = create(root, "hidden", **PRIVATE)
    assert "hidden" not in names(ann)
    fault(ann.get(f"/types/{type_id}"), 404, "itemNotFound")

    action = {"addProjectAccess": {"project": PROJECT}}
    assert root.post(f"/types/{type_id}/action", json=action).status_code == 202
    again = root.post(f"/types/{type_id}/action", json=action)
    fault(again, 409, "conflictingRequest")
    assert "hidden" in names(ann)
    assert "hidden" not in names(bob)
    assert ann.get(f"/types/{type_id}").status_code == 200
    assert root.get(f"/types/{type_id}/os-volume-type-access").json == {
        "volume_type_access": [{"volume_type_id": type_id, "project_id": PROJECT}]
    }

    action = {"removeProjectAccess": {"project": PROJECT}}
    assert root.post(f"/types/{type_id}/action", json=action).status_code == 202
    fault(root.post(f"/types/{type_id}/action", json=action), 404, "itemNotFound")
    assert "hidden" not in names(ann)


def test_a_public_type_has_no_access_list(admin: Caller) -> None:
    type_id = create(admin, "fast")
    fault(admin.get(f"/types/{type_id}/os-volume-type-access"), 404, "itemNotFound")
    for action in ("addProjectAccess", "removeProjectAccess"):
        response = admin.post(f"/types/{type_id}/action", json={action: {"project": "p"}})
        assert "public" in fault(response, 400, "badRequest")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"fly": {}},
        {"addProjectAccess": {}},
        {"addProjectAccess": {"project": "p"}, "removeProjectAccess": {"project": "p"}},
    ],
)
def test_an_action_is_exactly_one(admin: Caller, body: dict[str, Any]) -> None:
    type_id = create(admin, "hidden", **PRIVATE)
    fault(admin.post(f"/types/{type_id}/action", json=body), 400, "badRequest")
