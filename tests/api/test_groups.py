"""Groups, their snapshots, and consistency groups, from the request to the node and back."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from db.groups import CONSISTENCY_SPECS, make_consistency_type
from db.models import DEFAULT_TYPE_NAME
from db.transactions import writing
from tests.api.conftest import PROJECT, Caller, basic, fault
from tests.api.working import Working, working


@pytest.fixture
def world_and_app(
    tmp_path: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, password_file: Path
) -> Iterator[tuple[Working, Flask]]:
    environ["BREEZEBLOCK_API__AUTH"] = "http_basic"
    environ["BREEZEBLOCK_API__PASSWORD_FILE"] = str(password_file)
    with working(tmp_path, environ, monkeypatch) as found:
        yield found


@pytest.fixture
def root(world_and_app: tuple[Working, Flask]) -> Caller:
    return basic(world_and_app[1], "root", PROJECT)


@pytest.fixture
def ann(world_and_app: tuple[Working, Flask]) -> Caller:
    return basic(world_and_app[1], "ann", PROJECT)


@pytest.fixture
def bob(world_and_app: tuple[Working, Flask]) -> Caller:
    return basic(world_and_app[1], "bob", "other")


@pytest.fixture
def group_type(root: Caller) -> str:
    response = root.post("/group_types", json={"group_type": {"name": "plain"}})
    return str(response.get_json()["group_type"]["id"])


def create(caller: Caller, group_type: str, **given: Any) -> str:
    body = {"group_type": group_type, "volume_types": [DEFAULT_TYPE_NAME], "name": "g", **given}
    response = caller.post("/groups", json={"group": body})
    assert response.status_code == 202, response.text
    return str(response.get_json()["group"]["id"])


def volume(caller: Caller, **given: Any) -> str:
    response = caller.post("/volumes", json={"volume": {"size": 1, **given}})
    assert response.status_code == 202, response.text
    return str(response.get_json()["volume"]["id"])


def show(caller: Caller, path: str, name: str) -> dict[str, Any]:
    response = caller.get(path)
    assert response.status_code == 200, response.text
    return dict(response.get_json()[name])


def test_a_group_goes_through_its_life(ann: Caller, group_type: str) -> None:
    group_id = create(ann, group_type, description="d")
    url = f"/groups/{group_id}"
    inside = volume(ann, group_id=group_id)
    joining = volume(ann, group_id=group_id)  # to be sure that it is on the group's backend
    assert ann.put(url, json={"group": {"remove_volumes": joining}}).status_code == 202
    assert show(ann, f"{url}?list_volume=true", "group")["volumes"] == [inside]
    assert ann.put(url, json={"group": {"add_volumes": joining, "name": "new"}}).status_code == 202
    shown = show(ann, f"{url}?list_volume=true", "group")
    assert (shown["status"], shown["name"]) == ("available", "new")
    assert set(shown["volumes"]) == {inside, joining}
    assert show(ann, f"/volumes/{joining}", "volume")["group_id"] == group_id
    of_group = ann.get(f"/volumes?group_id={group_id}").get_json()["volumes"]
    assert {one["id"] for one in of_group} == {inside, joining}

    fault(ann.delete(f"/volumes/{inside}"), 400, "badRequest")
    assert ann.put(url, json={"group": {"remove_volumes": joining}}).status_code == 202
    refused = ann.post(f"{url}/action", json={"delete": {"delete-volumes": False}})
    assert "delete-volumes flag" in fault(refused, 400, "badRequest")
    deleted = ann.post(f"{url}/action", json={"delete": {"delete-volumes": True}})
    assert deleted.status_code == 202
    fault(ann.get(url), 404, "itemNotFound")
    fault(ann.get(f"/volumes/{inside}"), 404, "itemNotFound")
    assert show(ann, f"/volumes/{joining}", "volume")["group_id"] is None


def test_a_group_is_copied_from_a_snapshot_of_it(ann: Caller, group_type: str) -> None:
    group_id = create(ann, group_type)
    volume(ann, group_id=group_id)
    body = {"group_snapshot": {"group_id": group_id, "name": "s"}}
    made = ann.post("/group_snapshots", json=body).get_json()["group_snapshot"]
    url = f"/group_snapshots/{made['id']}"
    assert show(ann, url, "group_snapshot")["status"] == "available"
    (snapshot,) = ann.get("/snapshots/detail").get_json()["snapshots"]
    assert snapshot["group_snapshot_id"] == made["id"]

    copy = {"create-from-src": {"name": "copy", "group_snapshot_id": made["id"]}}
    response = ann.post("/groups/action", json=copy)
    assert response.status_code == 202, response.text
    copied = show(ann, f"/groups/{response.get_json()['group']['id']}", "group")
    assert (copied["status"], copied["group_snapshot_id"]) == ("available", made["id"])
    assert len(ann.get(f"/volumes?group_id={copied['id']}").get_json()["volumes"]) == 1

    listed = ann.get("/groups/detail?sort=created_at:asc&limit=1").get_json()
    assert [one["id"] for one in listed["groups"]] == [group_id]
    assert listed["groups_links"]
    assert ann.delete(url).status_code == 202
    fault(ann.get(url), 404, "itemNotFound")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "required"),
        ({"add_volumes": "not-there"}, "could not be found"),
        ({"add_volumes": "{volume}", "remove_volumes": "{volume}"}, "added and removed"),
        ({"remove_volumes": "{volume}"}, "not in the group"),
    ],
)
def test_a_change_that_cannot_be_changes_nothing(
    ann: Caller, group_type: str, given: dict[str, str], said: str
) -> None:
    group_id, volume_id = create(ann, group_type), volume(ann)
    body = {key: value.format(volume=volume_id) for key, value in given.items()}
    response = ann.put(f"/groups/{group_id}", json={"group": {**body}})
    assert response.status_code in (400, 404)
    assert said in response.text
    assert show(ann, f"/volumes/{volume_id}", "volume")["group_id"] is None


def test_a_volume_of_another_project_does_not_join(
    ann: Caller, bob: Caller, group_type: str
) -> None:
    foreign = volume(bob)
    group_id = create(ann, group_type)
    body = {"group": {"add_volumes": foreign}}
    fault(ann.put(f"/groups/{group_id}", json=body), 404, "itemNotFound")
    for response in (
        bob.get(f"/groups/{group_id}"),
        bob.put(f"/groups/{group_id}", json={"group": {"name": "mine"}}),
        bob.post("/group_snapshots", json={"group_snapshot": {"group_id": group_id}}),
        bob.post("/volumes", json={"volume": {"size": 1, "group_id": group_id}}),
    ):
        fault(response, 404, "itemNotFound")
    assert bob.get("/groups").get_json()["groups"] == []


def test_an_unknown_type_makes_no_group(ann: Caller, group_type: str) -> None:
    body = {"group_type": group_type, "volume_types": ["unheard-of"]}
    fault(ann.post("/groups", json={"group": body}), 404, "itemNotFound")
    body = {"group_type": "unheard-of", "volume_types": [DEFAULT_TYPE_NAME]}
    fault(ann.post("/groups", json={"group": body}), 404, "itemNotFound")
    assert ann.get("/groups").get_json()["groups"] == []


def test_an_administrator_sets_a_status(ann: Caller, root: Caller, group_type: str) -> None:
    group_id = create(ann, group_type)
    action = {"reset_status": {"status": "error"}}
    fault(ann.post(f"/groups/{group_id}/action", json=action), 403, "forbidden")
    assert root.post(f"/groups/{group_id}/action", json=action).status_code == 202
    assert show(ann, f"/groups/{group_id}", "group")["status"] == "error"
    nothing = {"reset_status": {"status": "perfect"}}
    fault(root.post(f"/groups/{group_id}/action", json=nothing), 400, "badRequest")


@pytest.mark.parametrize("body", [{}, {"delete": {}, "reset_status": {"status": "error"}}])
def test_an_action_is_one(ann: Caller, group_type: str, body: dict[str, Any]) -> None:
    fault(ann.post(f"/groups/{create(ann, group_type)}/action", json=body), 400, "badRequest")


def test_replication_is_refused_with_the_reason(ann: Caller, group_type: str) -> None:
    url = f"/groups/{create(ann, group_type)}/action"
    assert "replication" in fault(ann.post(url, json={"enable_replication": {}}), 400, "badRequest")


def test_a_consistency_group_is_one_to_old_clients(ann: Caller, root: Caller) -> None:
    with writing() as tx:
        make_consistency_type(tx)
    (own,) = root.get("/group_types").get_json()["group_types"]
    for key in CONSISTENCY_SPECS:  # which no backend of this installation reports
        root.delete(f"/group_types/{own['id']}/group_specs/{key}")
    body = {"consistencygroup": {"volume_types": DEFAULT_TYPE_NAME, "name": "cg"}}
    response = ann.post("/consistencygroups", minor=0, json=body)
    assert response.status_code == 202, response.text
    url = f"/consistencygroups/{response.get_json()['consistencygroup']['id']}"
    shown = show(ann, url, "consistencygroup")
    assert (shown["status"], shown["name"]) == ("available", "cg")
    volume_id = volume(ann, consistencygroup_id=shown["id"], volume_type=DEFAULT_TYPE_NAME)
    assert show(ann, f"/volumes/{volume_id}", "volume")["consistencygroup_id"] == shown["id"]

    taken = ann.post("/cgsnapshots", json={"cgsnapshot": {"consistencygroup_id": shown["id"]}})
    snapshot_url = f"/cgsnapshots/{taken.get_json()['cgsnapshot']['id']}"
    detail = show(ann, snapshot_url, "cgsnapshot")
    assert (detail["status"], detail["consistencygroup_id"]) == ("available", shown["id"])
    assert len(ann.get("/cgsnapshots/detail").get_json()["cgsnapshots"]) == 1
    assert ann.delete(snapshot_url).status_code == 202

    fault(ann.post(f"{url}/delete", json={"consistencygroup": {}}), 400, "badRequest")
    forced = ann.post(f"{url}/delete", json={"consistencygroup": {"force": True}})
    assert forced.status_code == 202
    fault(ann.get(url), 404, "itemNotFound")


def test_a_plain_group_is_no_consistency_group(ann: Caller, group_type: str) -> None:
    group_id = create(ann, group_type)
    fault(ann.get(f"/consistencygroups/{group_id}"), 404, "itemNotFound")
    assert ann.get("/consistencygroups").get_json()["consistencygroups"] == []
