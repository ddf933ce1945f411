"""Volumes: what is shown, to whom, what is listed, and what may be changed."""

from datetime import datetime
from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask
from sqlalchemy import select

from api.errors import ApiError
from db.models import DEFAULT_TYPE_NAME, Volume, VolumeType, new_id
from db.transactions import reading
from db.transitions import InvalidStatus
from tests.api.conftest import PROJECT, Caller, basic, fault, volume

EVERYBODYS_FIELDS = {
    "attachments",
    "availability_zone",
    "bootable",
    "consistencygroup_id",
    "created_at",
    "description",
    "encrypted",
    "id",
    "links",
    "metadata",
    "multiattach",
    "name",
    "os-vol-tenant-attr:tenant_id",
    "replication_status",
    "size",
    "snapshot_id",
    "source_volid",
    "status",
    "updated_at",
    "user_id",
    "volume_type",
}
ADMINS_FIELDS = {
    "migration_status",
    "os-vol-host-attr:host",
    "os-vol-mig-status-attr:migstat",
    "os-vol-mig-status-attr:name_id",
}


def default_type_id() -> str:
    with reading() as tx:
        found = tx.scalar(select(VolumeType.id).where(VolumeType.name == DEFAULT_TYPE_NAME))
    assert found is not None
    return found


def show(caller: Caller, volume_id: str, minor: int = 71) -> dict[str, Any]:
    response = caller.get(f"/volumes/{volume_id}", minor)
    assert response.status_code == 200, response.text
    return dict(response.get_json()["volume"])


def listed(caller: Caller, query: str, minor: int = 71) -> set[str]:
    response = caller.get(f"/volumes?{query}", minor)
    assert response.status_code == 200, response.text
    return {volume["id"] for volume in response.get_json()["volumes"]}


def test_a_volume_is_shown_in_full(admin: Caller) -> None:
    type_id = default_type_id()
    volume_id = volume(
        name="disk",
        description="of Ann",
        size=3,
        bootable=True,
        volume_type_id=type_id,
        availability_zone="nova",
        host="node1@file#pool",
        meta={"k": "v"},
        created_at=datetime(2026, 1, 2, 3, 4, 5),
    )
    shown = show(admin, volume_id)
    assert shown == {
        "id": volume_id,
        "name": "disk",
        "description": "of Ann",
        "status": "available",
        "size": 3,
        "bootable": "true",
        "volume_type": DEFAULT_TYPE_NAME,
        "volume_type_id": type_id,
        "availability_zone": "nova",
        "metadata": {"k": "v"},
        "user_id": "alice",
        "created_at": "2026-01-02T03:04:05.000000",
        "updated_at": None,
        "attachments": [],
        "encrypted": False,
        "multiattach": False,
        "snapshot_id": None,
        "source_volid": None,
        "consistencygroup_id": None,
        "replication_status": None,
        "migration_status": None,
        "group_id": None,
        "provider_id": None,
        "service_uuid": "29dc3de4-5a98-539f-ae6a-44889da14c64",
        "shared_targets": False,
        "cluster_name": None,
        "consumes_quota": True,
        "os-vol-tenant-attr:tenant_id": PROJECT,
        "os-vol-host-attr:host": "node1@file#pool",
        "os-vol-mig-status-attr:migstat": None,
        "os-vol-mig-status-attr:name_id": None,
        "links": [
            {"rel": "self", "href": f"http://localhost/v3/{PROJECT}/volumes/{volume_id}"},
            {"rel": "bookmark", "href": f"http://localhost/{PROJECT}/volumes/{volume_id}"},
        ],
    }


@pytest.mark.parametrize(
    ("minor", "more"),
    [
        (0, set()),
        (13, {"group_id"}),
        (21, {"group_id", "provider_id"}),
        (48, {"group_id", "provider_id", "service_uuid", "shared_targets"}),
    ],
)
def test_fields_come_with_their_microversion(admin: Caller, minor: int, more: set[str]) -> None:
    assert set(show(admin, volume(), minor)) == EVERYBODYS_FIELDS | ADMINS_FIELDS | more


def test_a_member_sees_no_field_of_administrators(basic_app: Flask) -> None:
    shown = set(show(basic(basic_app, "ann", PROJECT), volume(), 0))
    assert shown == EVERYBODYS_FIELDS


def test_public_url_replaces_the_address_in_links(app: Flask, admin: Caller) -> None:
    from dataclasses import replace

    settings = app.extensions["breezeblock.settings"]
    api = replace(settings.api, public_url="https://blocks.example/volume/")
    app.extensions["breezeblock.settings"] = replace(settings, api=api)
    href = show(admin, volume())["links"][0]["href"]
    assert href.startswith(f"https://blocks.example/volume/v3/{PROJECT}/volumes/")


def test_what_cannot_be_seen_is_not_found(basic_app: Flask) -> None:
    ann = basic(basic_app, "ann", PROJECT)
    for hidden in (volume(project_id="other"), volume(visible=False), new_id(), "nope", "%0A"):
        for method, path, body in (
            ("GET", "", None),
            ("PUT", "", {"volume": {"name": "x"}}),
            ("DELETE", "", None),
            ("POST", "/action", {"os-extend": {"new_size": 2}}),
            ("GET", "/metadata", None),
            ("POST", "/metadata", {"metadata": {"a": "b"}}),
            ("PUT", "/metadata", {"metadata": {}}),
            ("DELETE", "/metadata/a", None),
        ):
            response = ann.request(method, f"/volumes/{hidden}{path}", json=body)
            fault(response, 404, "itemNotFound")
    fault(ann.get(f"/volumes?marker={volume(project_id='other')}"), 404, "itemNotFound")


def test_a_list_shows_ones_own_only_unless_an_admin_asks_for_all(basic_app: Flask) -> None:
    mine, other, unseen = volume(), volume(project_id="other"), volume(visible=False)
    ann, root = basic(basic_app, "ann", PROJECT), basic(basic_app, "root", "ops")
    assert listed(ann, "") == {mine}
    assert listed(ann, "all_tenants=1") == {mine}
    assert listed(root, "") == set()
    assert listed(root, "all_tenants=True") == {mine, other}
    assert listed(root, "all_tenants=1&project_id=other") == {other}
    assert unseen not in listed(root, "all_tenants=1")
    fault(ann.get("/volumes?project_id=other"), 400, "badRequest")
    assert listed(ann, "project_id=other", minor=30) == {mine}


def test_both_lists_have_links_and_the_detailed_one_everything(admin: Caller) -> None:
    volume_id = volume(name="a")
    brief = admin.get("/volumes").get_json()["volumes"][0]
    assert set(brief) == {"id", "name", "links"}
    assert admin.get("/volumes/detail").get_json()["volumes"][0] == show(admin, volume_id)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("name=one", "a"),
        ("name=none", ""),
        ("name~=On", "a"),
        ("name~=%25", ""),
        ("status=error", "b"),
        ("size=2", "b"),
        ("bootable=true", "a"),
        ("bootable=0", "b"),
        ("availability_zone=z2", "b"),
        ("metadata=" + quote("{'k': 'v'}"), "a"),
        ("metadata=" + quote('{"k": "v", "l": "w"}'), "a"),
        ("metadata=" + quote('{"k": "v", "l": "x"}'), ""),
        ("metadata=" + quote("{}"), "ab"),
        ("metadata=" + quote('{"k\\"]": "v"}'), ""),
        ("host=node1", "a"),
        ("host=node1@file", "a"),
        ("host=node1@file%23pool", "a"),
        ("host=node", ""),
        ("user_id=bob", "b"),
        ("volume_type=" + DEFAULT_TYPE_NAME, "a"),
        ("migration_status=none", "ab"),
        ("attach_status=attached", ""),
        ("created_at=gt:2026-01-01T12:00:00", "b"),
        ("created_at=lte:2026-01-01T00:00:00", "a"),
        ("created_at=gte:2026-01-01T01:00:00%2B01:00,lt:2026-01-02T00:00:00", "a"),
        ("created_at=neq:2026-01-01T00:00:00", "b"),
        ("created_at=2026-01-02T00:00:00Z", "b"),
        ("status=available&name=one", "a"),
    ],
)
def test_filters(admin: Caller, query: str, found: str) -> None:
    ids = {
        "a": volume(
            name="one",
            bootable=True,
            availability_zone="z1",
            meta={"k": "v", "l": "w"},
            host="node1@file#pool",
            volume_type_id=default_type_id(),
            created_at=datetime(2026, 1, 1),
        ),
        "b": volume(
            status="error",
            size=2,
            availability_zone="z2",
            user_id="bob",
            created_at=datetime(2026, 1, 2),
        ),
    }
    assert listed(admin, query) == {ids[letter] for letter in found}


@pytest.mark.parametrize(
    "query",
    [
        "bootable=maybe",
        "size=big",
        "metadata=" + quote("[1]"),
        "metadata=" + quote("{" * 500),
        "created_at=yesterday",
        "all_tenants=maybe",
        "with_count=maybe",
        "no_such_filter=1",
    ],
)
def test_filters_that_are_refused(admin: Caller, query: str) -> None:
    fault(admin.get(f"/volumes?{query}"), 400, "badRequest")


def test_an_unknown_filter_was_ignored_before_it_was_refused(admin: Caller) -> None:
    volume_id = volume()
    assert listed(admin, "no_such_filter=1", minor=30) == {volume_id}


def test_a_count_is_of_all_pages(admin: Caller) -> None:
    for name in ("a", "a", "b"):
        volume(name=name)
    body = admin.get("/volumes/detail?with_count=True&limit=1&name=a").get_json()
    assert (body["count"], len(body["volumes"])) == (2, 1)
    assert "count" not in admin.get("/volumes?with_count=True", minor=44).get_json()


def test_the_summary(admin: Caller) -> None:
    volume(size=2, meta={"k": "v"})
    volume(size=3, meta={"k": "w", "l": "x"})
    volume(size=5, project_id="other", meta={"k": "v"})
    summary = admin.get("/volumes/summary").get_json()["volume-summary"]
    metadata = {key: sorted(values) for key, values in summary.pop("metadata").items()}
    assert summary == {"total_count": 2, "total_size": 5}
    assert metadata == {"k": ["v", "w"], "l": ["x"]}
    everywhere = admin.get("/volumes/summary?all_tenants=1", minor=12).get_json()
    assert everywhere == {"volume-summary": {"total_count": 3, "total_size": 10}}
    fault(admin.get("/volumes/summary", minor=11), 404, "itemNotFound")


@pytest.mark.parametrize(
    ("sent", "changed"),
    [
        ({"name": "new"}, {"name": "new"}),
        ({"display_name": "new"}, {"name": "new"}),
        ({"display_name": "old", "name": "new"}, {"name": "new"}),
        ({"name": None}, {"name": None}),
        ({"name": "  new  "}, {"name": "new"}),
        ({"display_description": "two\nlines"}, {"description": "two\nlines"}),
        ({"metadata": {"b": "2"}}, {"metadata": {"b": "2"}}),
        ({"description": "d", "metadata": {}}, {"description": "d", "metadata": {}}),
    ],
)
def test_update(admin: Caller, sent: dict[str, Any], changed: dict[str, Any]) -> None:
    volume_id = volume(name="was", description="is", meta={"a": "1"})
    before = show(admin, volume_id)
    response = admin.put(f"/volumes/{volume_id}", json={"volume": sent})
    assert response.status_code == 200, response.text
    after = response.get_json()["volume"]
    assert after.pop("updated_at") is not None
    before.pop("updated_at")
    assert after == before | changed


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"volume": None},
        {"volume": {}},
        {"volume": {"size": 2}},
        {"volume": {"name": "x" * 256}},
        {"volume": {"name": 7}},
        {"volume": {"name": "a\x00b"}},
        {"volume": {"name": "a\nb"}},
        {"volume": {"description": "a\x1bb"}},
        {"volume": {"metadata": {"k": 1}}},
        {"volume": {"metadata": {"k": None}}},
        {"volume": {"metadata": {"": "v"}}},
        {"volume": {"metadata": {"k" * 256: "v"}}},
        {"volume": {"metadata": {"k": "v" * 256}}},
        {"volume": {"metadata": None}},
        {"volume": {"name": "x"}, "more": 1},
    ],
)
def test_updates_that_are_refused_change_nothing(admin: Caller, body: dict[str, Any]) -> None:
    volume_id = volume(name="was")
    fault(admin.put(f"/volumes/{volume_id}", json=body), 400, "badRequest")
    assert show(admin, volume_id)["name"] == "was"


def test_an_empty_update_was_accepted_before_3_53(admin: Caller) -> None:
    volume_id = volume(name="was")
    response = admin.put(f"/volumes/{volume_id}", minor=52, json={"volume": {}})
    assert response.get_json()["volume"]["name"] == "was"


def test_maintenance_keeps_a_volume_as_it_is(admin: Caller) -> None:
    volume_id = volume(status="maintenance")
    body = {"volume": {"name": "x"}}
    message = fault(admin.put(f"/volumes/{volume_id}", json=body), 400, "badRequest")
    assert "maintenance" in message


@pytest.fixture
def submitted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, dict[str, Any]]]:
    """What reaches the engine, which is not part of this test; creates are made visible."""
    calls: list[tuple[str, str, dict[str, Any]]] = []

    def submit(kind: str, resource_id: str, payload: dict[str, Any]) -> str:
        calls.append((kind, resource_id, payload))
        if kind == "volume.create":
            volume(id=resource_id, size=payload["size_gib"] or 1, status="creating")
        return resource_id

    monkeypatch.setattr("api.admission.submit", submit)
    return calls


CREATE_DEFAULTS: dict[str, Any] = {
    "size_gib": 1,
    "name": None,
    "description": None,
    "volume_type": None,
    "availability_zone": None,
    "metadata": {},
    "snapshot_id": None,
    "source_volid": None,
    "image_ref": None,
    "scheduler_hints": {},
    "group_id": None,
    "may_multiattach": True,
}
SOME_ID = "6b2a3c1e-7a0f-4e53-9a39-1d5c5c2c9f10"


@pytest.mark.parametrize(
    ("sent", "payload"),
    [
        ({"size": 1}, {}),
        ({"size": "12"}, {"size_gib": 12}),
        ({"size": 2**31 - 1}, {"size_gib": 2**31 - 1}),
        ({"size": 1, "name": "n", "description": "d"}, {"name": "n", "description": "d"}),
        ({"size": 1, "display_name": "n"}, {"name": "n"}),
        ({"size": 1, "name": "é" * 255}, {"name": "é" * 255}),
        ({"size": 1, "volume_type": "gold", "availability_zone": "z"},
         {"volume_type": "gold", "availability_zone": "z"}),
        ({"size": 1, "metadata": {"a": "b"}}, {"metadata": {"a": "b"}}),
        ({"size": 1, "metadata": None, "imageRef": ""}, {}),
        ({"size": 1, "imageRef": "i"}, {"image_ref": "i"}),
        ({"size": 1, "multiattach": False, "group_id": None, "backup_id": None}, {}),
        ({"snapshot_id": SOME_ID}, {"size_gib": None, "snapshot_id": SOME_ID}),
        ({"size": None, "source_volid": SOME_ID}, {"size_gib": None, "source_volid": SOME_ID}),
    ],
)  # fmt: skip
def test_create_hands_over_what_was_asked(
    admin: Caller,
    submitted: list[tuple[str, str, dict[str, Any]]],
    sent: dict[str, Any],
    payload: dict[str, Any],
) -> None:
    response = admin.post("/volumes", json={"volume": sent})
    assert response.status_code == 202, response.text
    ((kind, volume_id, handed),) = submitted
    assert (kind, handed) == ("volume.create", CREATE_DEFAULTS | payload)
    created = response.get_json()["volume"]
    assert created["id"] == volume_id
    assert created["status"] == "creating"
    assert "os-vol-host-attr:host" not in created


def test_scheduler_hints_stand_beside_the_volume(
    admin: Caller, submitted: list[tuple[str, str, dict[str, Any]]]
) -> None:
    hints = {"same_host": [SOME_ID]}
    body = {"volume": {"size": 1}, "OS-SCH-HNT:scheduler_hints": hints}
    assert admin.post("/volumes", json=body).status_code == 202
    assert submitted[0][2]["scheduler_hints"] == hints


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({}, "size"),
        ({"size": None}, "size"),
        ({"size": 0}, "size"),
        ({"size": -1}, "size"),
        ({"size": 1.5}, "size"),
        ({"size": 10**12}, "size"),
        ({"size": "10" * 20}, "size"),
        ({"size": "1.5"}, "size"),
        ({"size": "+1"}, "size"),
        ({"size": "१"}, "size"),
        ({"size": True}, "size"),
        ({"size": [1]}, "size"),
        ({"size": 1, "name": "x" * 256}, "name"),
        ({"size": 1, "name": "a\x07b"}, "name"),
        ({"size": 1, "name": "a\x7fb"}, "name"),
        ({"size": 1, "name": 5}, "name"),
        ({"size": 1, "description": "x" * 256}, "description"),
        ({"size": 1, "volume_type": "x" * 256}, "volume_type"),
        ({"size": 1, "volume_type": {"id": 1}}, "volume_type"),
        ({"size": 1, "availability_zone": "a\x01"}, "availability_zone"),
        ({"size": 1, "metadata": "k=v"}, "metadata"),
        ({"size": 1, "metadata": {"k": {"x": 1}}}, "metadata"),
        ({"size": 1, "metadata": {"k/": "v"}}, "metadata"),
        ({"size": 1, "snapshot_id": "nope"}, "snapshot_id"),
        ({"size": 1, "source_volid": 5}, "source_volid"),
        ({"size": 1, "multiattach": True}, "multiattach"),
        ({"size": 1, "multiattach": "perhaps"}, "multiattach"),
        ({"size": 1, "colour": "red"}, "colour"),
    ],
)
def test_creates_that_are_refused_name_the_field_and_reach_nobody(
    admin: Caller,
    submitted: list[tuple[str, str, dict[str, Any]]],
    sent: dict[str, Any],
    field: str,
) -> None:
    message = fault(admin.post("/volumes", json={"volume": sent}), 400, "badRequest")
    assert field in message
    assert "\x07" not in message
    assert submitted == []


def test_half_a_surrogate_pair_is_refused_wherever_it_stands(
    admin: Caller, submitted: list[tuple[str, str, dict[str, Any]]]
) -> None:
    for body in (
        '{"volume": {"size": 1, "name": "\\ud800"}}',
        '{"volume": {"size": 1}, "OS-SCH-HNT:scheduler_hints": {"a": ["\\u0000"]}}',
    ):
        response = admin.post("/volumes", data=body, headers={"Content-Type": "application/json"})
        fault(response, 400, "badRequest")
    assert submitted == []


def test_unknown_fields_were_ignored_before_3_53(
    admin: Caller, submitted: list[tuple[str, str, dict[str, Any]]]
) -> None:
    body = {"volume": {"size": 1, "attach_status": "detached", "project_id": None}}
    assert admin.post("/volumes", minor=52, json=body).status_code == 202
    assert submitted[0][2] == CREATE_DEFAULTS
    fault(admin.post("/volumes", minor=52, json={**body, "more": 1}), 400, "badRequest")


@pytest.mark.parametrize("group", ["group_id", "consistencygroup_id"])
def test_a_volume_is_asked_for_in_a_group(
    admin: Caller, submitted: list[tuple[str, str, dict[str, Any]]], group: str
) -> None:
    assert admin.post("/volumes", json={"volume": {"size": 1, group: SOME_ID}}).status_code == 202
    assert submitted[0][2]["group_id"] == SOME_ID


def test_a_backup_cannot_exist(
    admin: Caller, submitted: list[tuple[str, str, dict[str, Any]]]
) -> None:
    body = {"volume": {"size": 1, "backup_id": SOME_ID}}
    assert SOME_ID in fault(admin.post("/volumes", json=body), 404, "itemNotFound")
    assert submitted == []


def test_what_the_flow_refuses_is_the_answer(
    admin: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: Any) -> None:
        raise ApiError(413, "VolumeLimitExceeded: no more", {"Retry-After": "0"})

    monkeypatch.setattr("api.admission.submit", refuse)
    response = admin.post("/volumes", json={"volume": {"size": 1}})
    assert fault(response, 413, "overLimit").startswith("VolumeLimitExceeded")


@pytest.mark.parametrize(
    ("query", "minor", "payload"),
    [
        ("", 0, {"force": False, "cascade": False}),
        ("?cascade=True", 0, {"force": False, "cascade": True}),
        ("?force=True", 23, {"force": True, "cascade": False}),
        ("?force=True", 22, {"force": False, "cascade": False}),
    ],
)
def test_delete(
    admin: Caller,
    submitted: list[tuple[str, str, dict[str, Any]]],
    query: str,
    minor: int,
    payload: dict[str, Any],
) -> None:
    volume_id = volume()
    response = admin.delete(f"/volumes/{volume_id}{query}", minor)
    assert (response.status_code, response.data) == (202, b"")
    assert submitted == [("volume.delete", volume_id, payload)]


def test_only_an_admin_deletes_by_force(
    basic_app: Flask, submitted: list[tuple[str, str, dict[str, Any]]]
) -> None:
    ann, volume_id = basic(basic_app, "ann", PROJECT), volume()
    fault(ann.delete(f"/volumes/{volume_id}?force=1"), 403, "forbidden")
    assert submitted == []
    fault(ann.delete(f"/volumes/{volume_id}?cascade=perhaps"), 400, "badRequest")
    assert ann.delete(f"/volumes/{volume_id}").status_code == 202


def test_a_status_that_forbids_it_is_in_the_refusal(
    admin: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume_id = volume(status="creating")

    def refuse(*_args: Any) -> None:
        raise InvalidStatus(volume_id, "delete", "creating", frozenset({"available"}))

    monkeypatch.setattr("api.admission.submit", refuse)
    message = fault(admin.delete(f"/volumes/{volume_id}"), 400, "badRequest")
    assert "creating" in message


def test_a_row_changes_only_what_was_asked(admin: Caller) -> None:
    volume_id = volume(name="was", epoch=4)
    admin.put(f"/volumes/{volume_id}", json={"volume": {"name": "is"}})
    with reading() as tx:
        row = tx.get_one(Volume, volume_id)
        assert (row.name, row.epoch, row.status) == ("is", 4, "available")
