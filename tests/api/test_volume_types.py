"""Volume types."""

from typing import Any

import pytest
from flask import Flask

from db.models import (
    DEFAULT_TYPE_NAME,
    Group,
    GroupType,
    GroupVolumeType,
    Hold,
    Quota,
    QuotaUsage,
    new_id,
)
from db.transactions import reading
from tests.api import rows
from tests.api.conftest import PROJECT, Caller, basic, fault, volume


def create(caller: Caller, name: str, **fields: Any) -> str:
    response = caller.post("/types", json={"volume_type": {"name": name, **fields}})
    assert response.status_code == 200, response.text
    assert response.json is not None
    return str(response.json["volume_type"]["id"])


def names(caller: Caller, query: str = "") -> list[str]:
    response = caller.get(f"/types{query}")
    assert response.status_code == 200, response.text
    assert response.json is not None
    return [one["name"] for one in response.json["volume_types"]]


PRIVATE = {"os-volume-type-access:is_public": False}


def test_a_type_is_created_and_shown(admin: Caller) -> None:
    given = {"name": " fast ", "description": "on flash", "extra_specs": {"media": "ssd"}}
    response = admin.post("/types", json={"volume_type": given})
    assert response.status_code == 200
    assert response.json is not None
    made = response.json["volume_type"]
    assert made == {
        "id": made["id"],
        "name": "fast",
        "description": "on flash",
        "is_public": True,
        "os-volume-type-access:is_public": True,
        "extra_specs": {"media": "ssd"},
        "qos_specs_id": None,
    }
    assert admin.get(f"/types/{made['id']}").json == {"volume_type": made}


def test_a_name_is_taken_once(admin: Caller) -> None:
    create(admin, "fast")
    again = admin.post("/types", json={"volume_type": {"name": "fast"}})
    assert "fast already exists" in fault(again, 409, "conflictingRequest")
    assert names(admin).count("fast") == 1


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "volume_type"),
        ({"volume_type": {}}, "name"),
        ({"volume_type": {"name": "  "}}, "empty"),
        ({"volume_type": {"name": "x" * 256}}, "255"),
        ({"volume_type": {"name": "a\x07b"}}, "control"),
        ({"volume_type": {"name": "a", "colour": "red"}}, "colour"),
        ({"volume_type": {"name": "a", "extra_specs": {"bad/key": "1"}}}, "bad/key"),
        ({"volume_type": {"name": "a", "extra_specs": {"k": 1}}}, "k"),
        ({"volume_type": {"name": "a", "os-volume-type-access:is_public": "maybe"}}, "is_public"),
    ],
)
def test_what_is_no_type_is_refused(admin: Caller, body: dict[str, Any], said: str) -> None:
    assert said in fault(admin.post("/types", json=body), 400, "badRequest")
    assert names(admin) == [DEFAULT_TYPE_NAME]


def test_the_default_is_found_and_kept(admin: Caller) -> None:
    found = admin.get("/types/default").json
    assert found is not None
    default = found["volume_type"]
    assert default["name"] == DEFAULT_TYPE_NAME
    deletion = admin.delete(f"/types/{default['id']}")
    assert "default" in fault(deletion, 400, "badRequest")
    renaming = admin.put(f"/types/{default['id']}", json={"volume_type": {"name": "other"}})
    assert "keeps its name" in fault(renaming, 400, "badRequest")


def test_a_change_keeps_what_it_does_not_name(admin: Caller) -> None:
    type_id = create(admin, "fast", description="on flash")
    response = admin.put(f"/types/{type_id}", json={"volume_type": {"name": "quick"}})
    assert response.status_code == 200
    assert response.json is not None
    changed = response.json["volume_type"]
    assert (changed["name"], changed["description"]) == ("quick", "on flash")
    nothing = admin.put(f"/types/{type_id}", json={"volume_type": {}})
    assert "name, description or is_public" in fault(nothing, 400, "badRequest")


def test_a_rename_to_a_taken_name_is_a_conflict(admin: Caller) -> None:
    create(admin, "slow")
    type_id = create(admin, "fast")
    response = admin.put(f"/types/{type_id}", json={"volume_type": {"name": "slow"}})
    fault(response, 409, "conflictingRequest")
    assert sorted(names(admin)) == [DEFAULT_TYPE_NAME, "fast", "slow"]


def test_a_type_goes_with_its_limits(admin: Caller) -> None:
    type_id = create(admin, "fast")
    rows.add(
        Quota(project_id="p", resource=f"volumes_{type_id}", hard_limit=1),
        Quota(project_id="p", resource="volumes", hard_limit=1),
        QuotaUsage(project_id="p", resource=f"gigabytes_{type_id}", in_use=0, reserved=0),
    )
    assert admin.delete(f"/types/{type_id}").status_code == 202
    fault(admin.get(f"/types/{type_id}"), 404, "itemNotFound")
    with reading() as tx:
        assert [quota.resource for quota in tx.query(Quota)] == ["volumes"]
        assert tx.query(QuotaUsage).count() == 0


@pytest.mark.parametrize("user", ["volume", "hidden volume", "charged volume", "flow", "group"])
def test_a_type_in_use_stays(admin: Caller, user: str) -> None:
    type_id = create(admin, "fast")
    if user == "flow":
        rows.add(Hold(flow_id=rows.flow(state="running"), resource_id=type_id))
    elif user == "group":
        kind, group = GroupType(id=new_id(), name="k"), new_id()
        owner = {"project_id": "p", "user_id": "u", "status": "available"}
        rows.add(
            kind,
            Group(id=group, group_type_id=kind.id, **owner),
            GroupVolumeType(group_id=group, volume_type_id=type_id),
        )
    elif user == "charged volume":
        volume(charged_type_id=type_id)
    else:
        volume(volume_type_id=type_id, visible=user == "volume")
    assert "in use" in fault(admin.delete(f"/types/{type_id}"), 400, "badRequest")
    assert admin.get(f"/types/{type_id}").status_code == 200


def test_an_administrator_lists_by_publicity(admin: Caller) -> None:
    create(admin, "hidden", **PRIVATE)
    assert names(admin) == [DEFAULT_TYPE_NAME]
    assert names(admin, "?is_public=True") == [DEFAULT_TYPE_NAME]
    assert names(admin, "?is_public=false") == ["hidden"]
    assert names(admin, "?is_public=None") == ["hidden", DEFAULT_TYPE_NAME]
    fault(admin.get("/types?is_public=perhaps"), 400, "badRequest")


def test_types_come_in_pages(admin: Caller) -> None:
    for name in ("a", "b", "c"):
        create(admin, name)
    first = admin.get("/types?limit=2&sort=name:asc").json
    assert first is not None
    assert [one["name"] for one in first["volume_types"]] == [DEFAULT_TYPE_NAME, "a"]
    (link,) = first["volume_type_links"]
    assert link["rel"] == "next"
    second = admin.get(link["href"].split(f"/v3/{PROJECT}", 1)[1]).json
    assert second is not None
    assert [one["name"] for one in second["volume_types"]] == ["b", "c"]
    fault(admin.get("/types?marker=nowhere"), 404, "itemNotFound")


def test_types_are_filtered_from_3_52_on(admin: Caller) -> None:
    create(admin, "fast", extra_specs={"media": "ssd"})
    create(admin, "slow", extra_specs={"media": "hdd"})
    create(admin, "old", description="on tape")
    assert names(admin, "?name=slow") == ["slow"]
    assert names(admin, "?description=on tape") == ["old"]
    assert names(admin, "?extra_specs={'media': 'ssd'}") == ["fast"]
    fault(admin.get("/types?extra_specs=ssd"), 400, "badRequest")
    older = admin.get("/types?name=slow", minor=51).json
    assert older is not None
    assert len(older["volume_types"]) == 4


def test_a_user_sees_what_concerns_users_and_changes_nothing(basic_app: Flask) -> None:
    root, ann = basic(basic_app, "root", "ops"), basic(basic_app, "ann", PROJECT)
    specs = {"media": "ssd", "multiattach": "<is> True"}
    type_id = create(root, "fast", extra_specs=specs)
    shown = ann.get(f"/types/{type_id}").json
    assert shown is not None
    assert shown["volume_type"]["extra_specs"] == {"multiattach": "<is> True"}
    assert "qos_specs_id" not in shown["volume_type"]
    assert ann.get(f"/types/{type_id}/extra_specs").json == {
        "extra_specs": {"multiattach": "<is> True"}
    }
    path = f"/types/{type_id}"
    spec = {"extra_specs": {"a": "1"}}
    for response in (
        ann.post("/types", json={"volume_type": {"name": "mine"}}),
        ann.put(path, json={"volume_type": {"name": "mine"}}),
        ann.delete(path),
        ann.post(f"{path}/extra_specs", json=spec),
        ann.put(f"{path}/extra_specs/media", json={"media": "1"}),
        ann.delete(f"{path}/extra_specs/media"),
        ann.get(f"{path}/os-volume-type-access"),
        ann.post(f"{path}/action", json={"addProjectAccess": {"project": PROJECT}}),
    ):
        fault(response, 403, "forbidden")
