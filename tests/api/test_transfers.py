"""Transfers of volumes between projects."""

import threading
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from db import quota
from db.models import (
    IdempotencyKey,
    Quota,
    QuotaUsage,
    Snapshot,
    Transfer,
    Volume,
    VolumeType,
    VolumeTypeAccess,
    new_id,
)
from db.transactions import reading, writing
from tests.api import rows
from tests.api.conftest import PROJECT, Caller, basic, fault, volume
from tests.api.test_volume_types import PRIVATE, create

FORMS = ("/os-volume-transfer", "/volume-transfers")


@pytest.fixture
def ann(basic_app: Flask) -> Caller:
    return basic(basic_app, "ann", PROJECT)


@pytest.fixture
def bob(basic_app: Flask) -> Caller:
    return basic(basic_app, "bob", "other")


def charged(size: int = 2, snapshots: int = 0, **columns: Any) -> str:
    """A volume of ann's, charged for like its snapshots; returns its id."""
    volume_id = volume(size=size, user_id="ann", charged_count=1, charged_gib=size, **columns)
    rows.add(
        *(
            Snapshot(
                id=new_id(),
                project_id=PROJECT,
                user_id="ann",
                volume_id=volume_id,
                size=size,
                status="available",
                visible=True,
                charged_count=1,
                charged_gib=size,
                charged_type_id=columns.get("charged_type_id"),
            )
            for _ in range(snapshots)
        )
    )
    with writing() as tx:
        tx.query(QuotaUsage).delete()
        for (project, resource), in_use in quota.charged(tx).items():
            tx.add(QuotaUsage(project_id=project, resource=resource, in_use=in_use, reserved=0))
    return volume_id


def offer(caller: Caller, volume_id: str, form: str = FORMS[1], **fields: Any) -> dict[str, Any]:
    response = caller.post(form, json={"transfer": {"volume_id": volume_id, **fields}})
    assert response.status_code == 202, response.text
    assert response.json is not None
    return dict(response.json["transfer"])


def accept(caller: Caller, offered: dict[str, Any], form: str = FORMS[1]) -> Any:
    body = {"accept": {"auth_key": offered["auth_key"]}}
    return caller.post(f"{form}/{offered['id']}/accept", json=body)


def status(volume_id: str) -> tuple[str, str]:
    with reading() as tx:
        found = tx.get_one(Volume, volume_id)
        return found.project_id, found.status


def counters_are_exact() -> bool:
    with reading() as tx:
        counted = {(u.project_id, u.resource): u.in_use for u in tx.scalars(select(QuotaUsage))}
        sums = quota.charged(tx)
        return all(sums[key] == counted.get(key, 0) for key in {*sums, *counted})


@pytest.mark.parametrize("form", FORMS)
def test_a_volume_changes_hands(ann: Caller, bob: Caller, form: str) -> None:
    volume_id = charged(snapshots=2)
    offered = offer(ann, volume_id, form, name=" to bob ")
    assert offered["name"] == "to bob"
    assert (offered["source_project_id"], offered["accepted"]) == (PROJECT, False)
    assert status(volume_id) == (PROJECT, "awaiting-transfer")

    shown = ann.get(f"{form}/{offered['id']}").json
    assert shown == {"transfer": {k: v for k, v in offered.items() if k != "auth_key"}}
    fault(bob.get(f"{form}/{offered['id']}"), 404, "itemNotFound")

    response = accept(bob, offered, form)
    assert response.status_code == 202
    assert response.json["transfer"].keys() == {"id", "volume_id", "name", "links"}
    assert status(volume_id) == ("other", "available")
    with reading() as tx:
        owners = {(s.project_id, s.user_id) for s in tx.scalars(select(Snapshot))}
        transfer = tx.scalars(select(Transfer)).one()
    assert owners == {("other", "bob")}
    assert (transfer.accepted, transfer.destination_project_id) == (True, "other")
    assert counters_are_exact()
    usage = bob.get("/os-quota-sets/other?usage=true").json
    assert usage is not None
    assert usage["quota_set"]["gigabytes"]["in_use"] == 6
    fault(ann.get(f"{form}/{offered['id']}"), 404, "itemNotFound")
    fault(accept(bob, offered, form), 404, "itemNotFound")


def test_the_key_is_shown_once_and_not_kept(ann: Caller) -> None:
    volume_id = charged()
    headers = {"Idempotency-Key": "one"}
    response = ann.post(FORMS[1], json={"transfer": {"volume_id": volume_id}}, headers=headers)
    assert response.json is not None
    key = response.json["transfer"]["auth_key"]
    listed = ann.get(f"{FORMS[1]}/detail")
    assert key not in listed.text
    with reading() as tx:
        transfer = tx.scalars(select(Transfer)).one()
        assert key not in (transfer.salt, transfer.key_hash)
        assert not [kept for kept in tx.scalars(select(IdempotencyKey)) if key in (kept.body or "")]
    again = ann.post(FORMS[1], json={"transfer": {"volume_id": volume_id}}, headers=headers)
    fault(again, 409, "conflictingRequest")


def test_snapshots_may_stay_behind(ann: Caller, bob: Caller) -> None:
    volume_id = charged(snapshots=1)
    offered = offer(ann, volume_id, no_snapshots=True)
    assert offered["no_snapshots"] is True
    assert accept(bob, offered).status_code == 202
    with reading() as tx:
        assert tx.scalars(select(Snapshot.project_id)).all() == [PROJECT]
    assert counters_are_exact()


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"status": "in-use"}, "in-use"),
        ({"status": "error"}, "error"),
        ({"flow_id": new_id()}, "available"),
        ({"encryption_key_id": new_id()}, "encrypted"),
        ({"group_id": new_id()}, "group"),
    ],
)
def test_what_cannot_be_offered(ann: Caller, columns: dict[str, Any], said: str) -> None:
    volume_id = volume(**columns)
    body = {"transfer": {"volume_id": volume_id}}
    assert said in fault(ann.post(FORMS[0], json=body), 400, "badRequest")
    assert status(volume_id)[1] == columns.get("status", "available")


def test_a_volume_with_a_snapshot_at_work_is_not_offered(ann: Caller) -> None:
    volume_id = charged(snapshots=1)
    with writing() as tx:
        tx.scalars(select(Snapshot)).one().status = "deleting"
    body = {"transfer": {"volume_id": volume_id}}
    assert "deleting" in fault(ann.post(FORMS[1], json=body), 400, "badRequest")
    assert offer(ann, volume_id, no_snapshots=True)["id"]


@pytest.mark.parametrize(
    ("body", "minor", "said"),
    [
        ({}, 71, "transfer"),
        ({"transfer": {}}, 71, "volume_id"),
        ({"transfer": {"volume_id": "first"}}, 71, "UUID"),
        ({"transfer": {"volume_id": new_id(), "name": "x" * 256}}, 71, "255"),
        ({"transfer": {"volume_id": new_id(), "no_snapshots": True}}, 54, "no_snapshots"),
        ({"transfer": {"volume_id": new_id(), "no_snapshots": "so"}}, 71, "boolean"),
    ],
)
def test_what_is_no_offer_is_refused(
    ann: Caller, body: dict[str, Any], minor: int, said: str
) -> None:
    assert said in fault(ann.post(FORMS[1], minor, json=body), 400, "badRequest")


def test_anothers_volume_is_not_found(bob: Caller) -> None:
    body = {"transfer": {"volume_id": volume()}}
    fault(bob.post(FORMS[1], json=body), 404, "itemNotFound")


def test_a_wrong_key_takes_nothing(ann: Caller, bob: Caller) -> None:
    volume_id = charged()
    offered = offer(ann, volume_id)
    said = fault(accept(bob, offered | {"auth_key": "clé"}), 400, "badRequest")
    assert "invalid auth key" in said
    assert status(volume_id) == (PROJECT, "awaiting-transfer")
    fault(accept(bob, offered | {"id": new_id()}), 404, "itemNotFound")
    fault(accept(bob, offered | {"id": "first"}), 404, "itemNotFound")
    no_key = bob.post(f"{FORMS[1]}/{offered['id']}/accept", json={"accept": {}})
    assert "auth_key" in fault(no_key, 400, "badRequest")


@pytest.mark.parametrize("resource", ["volumes", "gigabytes", "snapshots"])
def test_who_has_no_room_does_not_get_it(ann: Caller, bob: Caller, resource: str) -> None:
    volume_id = charged(snapshots=2)
    rows.add(Quota(project_id="other", resource=resource, hard_limit=0))
    offered = offer(ann, volume_id)
    response = accept(bob, offered)
    assert resource in fault(response, 413, "overLimit")
    assert "Retry-After" in response.headers
    assert status(volume_id) == (PROJECT, "awaiting-transfer")
    assert counters_are_exact()
    with writing() as tx:
        tx.query(Quota).delete()
    assert accept(bob, offered).status_code == 202


def test_the_limits_of_its_type_count(basic_app: Flask, ann: Caller, bob: Caller) -> None:
    type_id = create(basic(basic_app, "root", "ops"), "fast")
    volume_id = charged(volume_type_id=type_id, charged_type_id=type_id, snapshots=1)
    rows.add(Quota(project_id="other", resource=f"gigabytes_{type_id}", hard_limit=3))
    offered = offer(ann, volume_id)
    assert "gigabytes" in fault(accept(bob, offered), 413, "overLimit")
    with writing() as tx:
        tx.query(Quota).delete()
    assert accept(bob, offered).status_code == 202
    assert counters_are_exact()


def test_a_private_type_is_not_handed_on(basic_app: Flask, ann: Caller, bob: Caller) -> None:
    type_id = create(basic(basic_app, "root", "ops"), "hidden", **PRIVATE)
    offered = offer(ann, charged(volume_type_id=type_id))
    said = fault(accept(bob, offered), 400, "badRequest")
    assert "private" in said
    assert "hidden" not in said
    rows.add(VolumeTypeAccess(volume_type_id=type_id, project_id="other"))
    assert accept(bob, offered).status_code == 202


def test_an_offer_is_withdrawn(ann: Caller, bob: Caller) -> None:
    volume_id = charged()
    offered = offer(ann, volume_id)
    fault(bob.delete(f"{FORMS[0]}/{offered['id']}"), 404, "itemNotFound")
    assert ann.delete(f"{FORMS[0]}/{offered['id']}").status_code == 202
    assert status(volume_id) == (PROJECT, "available")
    fault(accept(bob, offered), 404, "itemNotFound")
    fault(ann.delete(f"{FORMS[0]}/{offered['id']}"), 404, "itemNotFound")


def test_a_status_that_was_set_meanwhile_is_kept(ann: Caller, bob: Caller) -> None:
    volume_id = charged()
    offered = offer(ann, volume_id)
    with writing() as tx:
        tx.get_one(Volume, volume_id).status = "error"
    assert "error" in fault(accept(bob, offered), 400, "badRequest")
    assert ann.delete(f"{FORMS[0]}/{offered['id']}").status_code == 202
    assert status(volume_id) == (PROJECT, "error")


def test_of_two_who_accept_at_once_one_wins(basic_app: Flask, ann: Caller) -> None:
    volume_id = charged(snapshots=1)
    offered = offer(ann, volume_id)
    callers = [basic(basic_app, "bob", "other"), basic(basic_app, "root", "ops")]
    found: list[int] = []

    def take(caller: Caller) -> None:
        found.append(accept(caller, offered).status_code)

    threads = [threading.Thread(target=take, args=(caller,)) for caller in callers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [202, 404]
    assert counters_are_exact()


def test_transfers_are_listed_by_project_and_page(basic_app: Flask, ann: Caller) -> None:
    names = ["a", "b", "c"]
    for name in names:
        offer(ann, charged(), name=name)
    first = ann.get("/volume-transfers?limit=2&sort=name:asc").json
    assert first is not None
    assert [one["name"] for one in first["transfers"]] == ["a", "b"]
    assert set(first["transfers"][0]) == {"id", "volume_id", "name", "links"}
    (link,) = first["transfers_links"]
    second = ann.get(link["href"].split(f"/v3/{PROJECT}", 1)[1]).json
    assert second is not None
    assert [one["name"] for one in second["transfers"]] == ["c"]
    root = basic(basic_app, "root", "ops")
    for query, count in (("", 0), ("?all_tenants=1", 3), ("?all_tenants=1&name=b", 1)):
        shown = root.get(f"/os-volume-transfer/detail{query}").json
        assert shown is not None
        assert len(shown["transfers"]) == count
    fault(ann.get("/os-volume-transfer?colour=red"), 400, "badRequest")


@pytest.mark.parametrize(
    ("minor", "more"),
    [
        (0, set()),
        (55, {"no_snapshots"}),
        (57, {"no_snapshots", "source_project_id", "destination_project_id", "accepted"}),
    ],
)
def test_fields_come_with_their_version(ann: Caller, minor: int, more: set[str]) -> None:
    offered = offer(ann, charged())
    shown = ann.get(f"{FORMS[0]}/{offered['id']}", minor).json
    assert shown is not None
    assert set(shown["transfer"]) == {"id", "created_at", "name", "volume_id", "links"} | more


def test_an_offer_goes_with_its_volume(ann: Caller) -> None:
    volume_id = charged()
    offered = offer(ann, volume_id)
    with writing() as tx:
        tx.delete(tx.get_one(Volume, volume_id))
    fault(ann.get(f"{FORMS[0]}/{offered['id']}"), 404, "itemNotFound")


def test_a_volume_without_a_type_is_handed_on(ann: Caller, bob: Caller) -> None:
    with reading() as tx:
        assert tx.scalars(select(VolumeType)).all()
    assert accept(bob, offer(ann, charged(volume_type_id=None))).status_code == 202
