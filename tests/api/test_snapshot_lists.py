"""What needs no node of snapshots: bodies, lists, metadata, whose they are."""

from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from db.models import Snapshot, new_id
from db.transactions import writing
from tests.api.conftest import PROJECT, Caller, basic, fault, volume


def made(response: TestResponse) -> dict[str, Any]:
    """The one thing that a response is about."""
    assert response.status_code == 200, response.text
    assert response.json is not None
    (thing,) = response.json.values()
    return dict(thing)


def row(**columns: Any) -> str:
    """Insert an admitted, available snapshot; returns its id."""
    values = {
        "id": new_id(),
        "project_id": PROJECT,
        "user_id": "alice",
        "size": 1,
        "status": "available",
        "visible": True,
    } | columns
    values.setdefault("volume_id", volume(project_id=values["project_id"]))
    with writing() as tx:
        tx.add(Snapshot(**values))
    return str(values["id"])


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "snapshot"),
        ({"snapshot": {}}, "volume_id"),
        ({"snapshot": {"volume_id": "x"}}, "volume_id"),
        ({"snapshot": {"volume_id": new_id(), "name": "x" * 256}}, "name"),
        ({"snapshot": {"volume_id": new_id(), "metadata": {"k": "v" * 256}}}, "k"),
        ({"snapshot": {"volume_id": new_id(), "force": "perhaps"}}, "force"),
        ({"snapshot": {"volume_id": new_id(), "size": 1}}, "size"),
    ],
)
def test_a_body_that_is_wrong_is_refused_by_the_name_of_its_field(
    admin: Caller, body: dict[str, Any], field: str
) -> None:
    assert field in fault(admin.post("/snapshots", json=body), 400, "badRequest")


@pytest.mark.parametrize(
    "body", [{}, {"os-fly": {}}, {"os-force_delete": {}, "os-reset_status": {}}]
)
def test_exactly_one_action(admin: Caller, body: dict[str, Any]) -> None:
    fault(admin.post(f"/snapshots/{row()}/action", json=body), 400, "badRequest")


def ids(response: TestResponse) -> list[str]:
    assert response.status_code == 200, response.text
    assert response.json is not None
    return [one["id"] for one in response.json["snapshots"]]


def test_lists_are_filtered(admin: Caller) -> None:
    volume_id = volume(availability_zone="east", host="n@b#p")
    one = row(name="Über-1", meta={"k": "v"})
    two = row(name="two", status="error", volume_id=volume_id, group_snapshot_id=None)
    hidden = row(visible=False)
    for query, wanted in (
        ("", {one, two}),
        ("name=two", {two}),
        ("display_name=two", {two}),
        ("status=error", {two}),
        (f"volume_id={volume_id}", {two}),
        ("metadata={'k': 'v'}", {one}),
        ('metadata={"k":"other"}', set()),
        ("name~=ber", {one}),
        ("availability_zone=east", {two}),
        ("host=n@b", {two}),
        ("consumes_quota=true", {one, two}),
        ("consumes_quota=false", set()),
    ):
        for path in ("/snapshots", "/snapshots/detail"):
            assert set(ids(admin.get(f"{path}?{query}"))) == wanted, query
    assert hidden not in ids(admin.get("/snapshots"))
    fault(admin.get("/snapshots?colour=red"), 400, "badRequest")
    assert len(ids(admin.get("/snapshots?colour=red", 30))) == 2


def test_lists_come_in_pages_sorted_and_counted(admin: Caller) -> None:
    names = ["b", "a", "c"]
    for name in names:
        row(name=name)
    first = admin.get("/snapshots?sort=name:asc&limit=2&with_count=true")
    assert first.json is not None
    assert [one["name"] for one in first.json["snapshots"]] == ["a", "b"]
    assert first.json["count"] == 3
    link = first.json["snapshots_links"][0]["href"]
    rest = admin.get(f"/snapshots?{link.partition('?')[2]}")
    assert rest.json is not None
    assert [one["name"] for one in rest.json["snapshots"]] == ["c"]
    fault(admin.get(f"/snapshots?marker={new_id()}"), 404, "itemNotFound")


def test_another_projects_snapshot_is_not_there(basic_app: Flask) -> None:
    ann, bob = basic(basic_app, "ann", PROJECT), basic(basic_app, "bob", "other")
    root = basic(basic_app, "root", "ops")
    mine = row()
    path = f"/snapshots/{mine}"
    assert ids(ann.get("/snapshots")) == [mine]
    assert ids(bob.get("/snapshots?all_tenants=1")) == []
    assert ids(root.get("/snapshots?all_tenants=1")) == [mine]
    for response in (
        bob.get(path),
        bob.put(path, json={"snapshot": {"name": "x"}}),
        bob.delete(path),
        bob.get(f"{path}/metadata"),
        bob.post(f"{path}/action", json={"os-force_delete": None}),
        bob.post("/snapshots", json={"snapshot": {"volume_id": volume()}}),
    ):
        fault(response, 404, "itemNotFound")
    for name in ("os-force_delete", "os-reset_status"):
        fault(ann.post(f"{path}/action", json={name: {"status": "error"}}), 403, "forbidden")


def test_metadata_is_a_resource_with_keys(admin: Caller) -> None:
    path = f"/snapshots/{row(meta={'a': '1'})}/metadata"
    assert made(admin.post(path, json={"metadata": {"b": "2"}})) == {"a": "1", "b": "2"}
    assert made(admin.put(f"{path}/c", json={"meta": {"c": "3"}})) == {"c": "3"}
    assert made(admin.get(f"{path}/c")) == {"c": "3"}
    assert admin.delete(f"{path}/a").status_code == 200
    fault(admin.delete(f"{path}/a"), 404, "itemNotFound")
    fault(admin.get(f"{path}/a"), 404, "itemNotFound")
    fault(admin.put(f"{path}/c", json={"meta": {"d": "3"}}), 400, "badRequest")
    assert made(admin.put(path, json={"metadata": {"z": "9"}})) == {"z": "9"}
    fault(admin.put(path, json={"metadata": {"z": "9" * 256}}), 400, "badRequest")


def test_metadata_that_changed_meanwhile_is_not_replaced(admin: Caller) -> None:
    path = f"/snapshots/{row(meta={'a': '1'})}/metadata"
    etag = admin.get(path).headers["ETag"]
    assert "ETag" not in admin.get(path, 14).headers
    admin.post(path, json={"metadata": {"b": "2"}})
    stale = admin.put(path, json={"metadata": {}}, headers={"If-Match": etag})
    assert stale.status_code == 412
    fresh = {"If-Match": admin.get(path).headers["ETag"]}
    assert admin.put(path, json={"metadata": {}}, headers=fresh).status_code == 200
