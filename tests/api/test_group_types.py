"""Group types and their specs."""

from typing import Any

import pytest
from flask import Flask

from db.models import Group, new_id
from db.transactions import writing
from tests.api.conftest import PROJECT, Caller, basic, fault


def make(caller: Caller, name: str = "gold", **given: Any) -> dict[str, Any]:
    response = caller.post("/group_types", json={"group_type": {"name": name, **given}})
    assert response.status_code == 202, response.text
    return dict(response.get_json()["group_type"])


def test_a_type_goes_through_its_life(admin: Caller) -> None:
    made = make(admin, group_specs={"a": "1"}, description="best")
    shown = admin.get(f"/group_types/{made['id']}").get_json()["group_type"]
    assert shown == made
    assert made["group_specs"] == {"a": "1"}
    changed = admin.put(f"/group_types/{made['id']}", json={"group_type": {"name": "silver"}})
    assert changed.get_json()["group_type"]["name"] == "silver"
    listed = admin.get("/group_types").get_json()["group_types"]
    assert [one["name"] for one in listed] == ["silver"]
    assert admin.delete(f"/group_types/{made['id']}").status_code == 202
    fault(admin.get(f"/group_types/{made['id']}"), 404, "itemNotFound")


def test_its_specs_are_written_one_by_one(admin: Caller) -> None:
    specs = f"/group_types/{make(admin)['id']}/group_specs"
    assert admin.post(specs, json={"group_specs": {"k": "v", "l": "w"}}).status_code == 202
    assert admin.get(f"{specs}/k").get_json() == {"k": "v"}
    assert admin.put(f"{specs}/k", json={"k": "x"}).get_json() == {"k": "x"}
    fault(admin.put(f"{specs}/k", json={"other": "x"}), 400, "badRequest")
    assert admin.delete(f"{specs}/l").status_code == 202
    fault(admin.get(f"{specs}/l"), 404, "itemNotFound")
    assert admin.get(specs).get_json() == {"group_specs": {"k": "x"}}


def test_a_type_in_use_stays_but_for_its_specs(admin: Caller) -> None:
    type_id = make(admin)["id"]
    with writing() as tx:
        tx.add(
            Group(
                id=new_id(),
                project_id=PROJECT,
                user_id="alice",
                status="available",
                visible=True,
                group_type_id=type_id,
            )
        )
    fault(admin.delete(f"/group_types/{type_id}"), 400, "badRequest")
    specs = f"/group_types/{type_id}/group_specs"
    assert admin.post(specs, json={"group_specs": {"k": "v"}}).status_code == 202


def test_a_name_is_taken_once(admin: Caller) -> None:
    make(admin)
    again = admin.post("/group_types", json={"group_type": {"name": "gold"}})
    assert "already exists" in fault(again, 409, "conflictingRequest")


@pytest.mark.parametrize("given", [{}, {"name": ""}, {"name": "x" * 256}, {"name": "x", "more": 1}])
def test_a_bad_type_is_refused(admin: Caller, given: dict[str, Any]) -> None:
    fault(admin.post("/group_types", json={"group_type": given}), 400, "badRequest")


def test_members_see_public_types_without_specs(basic_app: Flask) -> None:
    root, ann = basic(basic_app, "root", "ops"), basic(basic_app, "ann", PROJECT)
    shown, hidden = make(root, "open"), make(root, "closed", is_public=False)
    fault(ann.post("/group_types", json={"group_type": {"name": "n"}}), 403, "forbidden")
    listed = ann.get("/group_types").get_json()["group_types"]
    assert [one["id"] for one in listed] == [shown["id"]]
    assert "group_specs" not in listed[0]
    fault(ann.get(f"/group_types/{hidden['id']}"), 404, "itemNotFound")
    everything = root.get("/group_types?is_public=none").get_json()["group_types"]
    assert len(everything) == 2


def test_the_default_type_is_the_one_of_the_settings(admin: Caller) -> None:
    fault(admin.get("/group_types/default"), 404, "itemNotFound")


def test_there_are_none_before_their_version(admin: Caller) -> None:
    fault(admin.get("/group_types", minor=10), 404, "itemNotFound")
