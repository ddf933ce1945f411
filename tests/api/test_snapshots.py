"""Snapshots through the API, on two nodes that make them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from db.models import Volume, new_id
from tests.api.conftest import PROJECT, Caller, fault
from tests.api.site import Site, begin, standing_site


@pytest.fixture(scope="module")
def lasting_site(empty_database: Path) -> Iterator[Site]:
    with standing_site(empty_database) as site:
        yield site


@pytest.fixture
def site(lasting_site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    return begin(lasting_site, monkeypatch)


@pytest.fixture
def caller(site: Site) -> Caller:
    return site.caller()


def made(response: TestResponse, status: int = 202) -> dict[str, Any]:
    """The one thing that a response is about."""
    assert response.status_code == status, response.text
    assert response.json is not None
    (thing,) = response.json.values()
    return dict(thing)


def a_volume(caller: Caller, **asked: Any) -> str:
    return str(made(caller.post("/volumes", json={"volume": {"size": 2} | asked}))["id"])


def a_snapshot(caller: Caller, volume_id: str, minor: int = 71, **asked: Any) -> str:
    body = {"snapshot": {"volume_id": volume_id} | asked}
    return str(made(caller.post("/snapshots", minor, json=body))["id"])


def shown(caller: Caller, path: str) -> dict[str, Any]:
    return made(caller.get(path), 200)


def action(caller: Caller, path: str, name: str, arguments: Any, minor: int = 71) -> TestResponse:
    return caller.post(f"{path}/action", minor, json={name: arguments})


# -- life ------------------------------------------------------------------------------------------


def test_a_snapshot_is_taken_shown_and_deleted(site: Site, caller: Caller) -> None:
    volume_id = a_volume(caller)
    asked = {"name": "Schnappschuß 📷", "description": "before", "metadata": {"a": "b"}}
    body = {"snapshot": {"volume_id": volume_id} | asked}
    snapshot = made(caller.post("/snapshots", json=body))
    assert snapshot | asked == snapshot
    assert (snapshot["volume_id"], snapshot["size"]) == (volume_id, 2)

    found = shown(caller, f"/snapshots/{snapshot['id']}")
    assert (found["status"], found["group_snapshot_id"], found["user_id"]) == (
        "available",
        None,
        "alice",
    )
    assert found["consumes_quota"] is True
    assert found["os-extended-snapshot-attributes:progress"] == "100%"
    assert found["os-extended-snapshot-attributes:project_id"] == PROJECT
    held = {name for node in site.world.nodes.values() for name in node.objects()}
    assert held == {f"volume-{volume_id}", f"snapshot-{snapshot['id']}"}

    assert caller.delete(f"/snapshots/{snapshot['id']}").status_code == 202
    fault(caller.get(f"/snapshots/{snapshot['id']}"), 404, "itemNotFound")
    site.world.check()


def test_a_snapshot_is_creating_until_its_node_has_made_it(site: Site, caller: Caller) -> None:
    volume_id = a_volume(caller)
    site.stop = "snapshot.create.create"
    snapshot_id = a_snapshot(caller, volume_id)
    found = shown(caller, f"/snapshots/{snapshot_id}")
    assert found["status"] == "creating"
    assert found["os-extended-snapshot-attributes:progress"] == "0%"
    refused = fault(caller.delete(f"/snapshots/{snapshot_id}"), 400, "badRequest")
    assert "creating" in refused
    text = fault(
        action(caller, f"/volumes/{volume_id}", "os-extend", {"new_size": 3}), 400, "badRequest"
    )
    assert "snapshot.create" in text
    site.go_on()
    assert shown(caller, f"/snapshots/{snapshot_id}")["status"] == "available"
    site.world.check()


def test_fields_come_with_their_microversions(caller: Caller) -> None:
    snapshot_id = a_snapshot(caller, a_volume(caller))
    path = f"/snapshots/{snapshot_id}"
    for field, minor in (("group_snapshot_id", 14), ("user_id", 41), ("consumes_quota", 65)):
        assert field not in made(caller.get(path, minor - 1), 200)
        assert field in made(caller.get(path, minor), 200)


def test_name_and_description_change(caller: Caller) -> None:
    path = f"/snapshots/{a_snapshot(caller, a_volume(caller), name='old')}"
    changed = made(caller.put(path, json={"snapshot": {"name": "new", "description": "x"}}), 200)
    assert (changed["name"], changed["description"]) == ("new", "x")
    older = made(caller.put(path, json={"snapshot": {"display_name": "newer"}}), 200)
    assert (older["name"], older["description"]) == ("newer", "x")
    assert "required" in fault(caller.put(path, json={"snapshot": {}}), 400, "badRequest")
    assert "size" in fault(caller.put(path, json={"snapshot": {"size": 9}}), 400, "badRequest")


def test_no_volume_no_snapshot(caller: Caller) -> None:
    nowhere = new_id()
    body = {"snapshot": {"volume_id": nowhere}}
    text = fault(caller.post("/snapshots", json=body), 404, "itemNotFound")
    assert text == f"Volume {nowhere} could not be found."


def test_quota_counts_snapshots_and_their_size(site: Site, caller: Caller) -> None:
    volume_id = a_volume(caller)
    quota = {"quota_set": {"snapshots": 1, "gigabytes": 7}}
    assert caller.put(f"/os-quota-sets/{PROJECT}", json=quota).status_code == 200
    a_snapshot(caller, volume_id)
    body = {"snapshot": {"volume_id": volume_id}}
    assert "snapshots" in fault(caller.post("/snapshots", json=body), 413, "overLimit")
    quota = {"quota_set": {"snapshots": 5, "gigabytes": 5}}
    caller.put(f"/os-quota-sets/{PROJECT}", json=quota)
    assert "gigabytes" in fault(caller.post("/snapshots", json=body), 413, "overLimit")
    used = made(caller.get(f"/os-quota-sets/{PROJECT}?usage=True"), 200)
    assert (used["snapshots"]["in_use"], used["gigabytes"]["in_use"]) == (1, 4)
    site.world.check()


# -- volumes in use --------------------------------------------------------------------------------


def in_use(site: Site, volume_id: str, status: str = "in-use") -> None:
    with site.world.writing() as tx:
        tx.get_one(Volume, volume_id).status = status


def test_a_volume_in_use_needs_force_until_3_66(site: Site, caller: Caller) -> None:
    volume_id = a_volume(caller)
    in_use(site, volume_id)
    body = {"snapshot": {"volume_id": volume_id}}
    text = fault(caller.post("/snapshots", 65, json=body), 400, "badRequest")
    assert "must be available, but current status is: in-use" in text
    a_snapshot(caller, volume_id, 65, force=True)
    a_snapshot(caller, volume_id, 66)
    a_snapshot(caller, volume_id, 66, force="true")
    body = {"snapshot": {"volume_id": volume_id, "force": "no"}}
    assert "3.66" in fault(caller.post("/snapshots", 66, json=body), 400, "badRequest")
    in_use(site, volume_id, "available")
    made(caller.post("/snapshots", 65, json=body))


@pytest.mark.parametrize("status", ["error", "maintenance", "reserved", "deleting"])
def test_nothing_is_taken_of_a_volume_that_is_not_at_hand(
    site: Site, caller: Caller, status: str
) -> None:
    volume_id = a_volume(caller)
    in_use(site, volume_id, status)
    body = {"snapshot": {"volume_id": volume_id, "force": True}}
    assert status in fault(caller.post("/snapshots", json=body), 400, "badRequest")


# -- deleting volumes ------------------------------------------------------------------------------


def test_a_volume_with_snapshots_stays_unless_they_go_with_it(site: Site, caller: Caller) -> None:
    volume_id = a_volume(caller)
    ids = [a_snapshot(caller, volume_id) for _ in range(3)]
    path = f"/volumes/{volume_id}"
    assert "have snapshots" in fault(caller.delete(path), 400, "badRequest")
    assert "have snapshots" in fault(action(caller, path, "os-force_delete", {}), 400, "badRequest")
    assert shown(caller, path)["status"] == "available"
    assert caller.delete(f"{path}?cascade=true").status_code == 202
    for gone in (path, *(f"/snapshots/{one}" for one in ids)):
        fault(caller.get(gone), 404, "itemNotFound")
    assert not any(node.objects() for node in site.world.nodes.values())
    site.world.check()


def test_a_cascade_that_cannot_end_does_not_begin(site: Site, caller: Caller) -> None:
    volume_id = a_volume(caller)
    a_snapshot(caller, volume_id)
    site.stop = "snapshot.create.create"
    busy = a_snapshot(caller, volume_id)
    text = fault(caller.delete(f"/volumes/{volume_id}?cascade=true"), 400, "badRequest")
    assert busy in text or "snapshot.create" in text
    site.go_on()
    assert shown(caller, f"/volumes/{volume_id}")["status"] == "available"


# -- volumes made from something -------------------------------------------------------------------


def test_a_volume_is_made_from_a_snapshot_beside_it(site: Site, caller: Caller) -> None:
    source = a_volume(caller)
    action(caller, f"/volumes/{source}", "os-set_bootable", {"bootable": True})
    snapshot_id = a_snapshot(caller, source)
    same = a_volume(caller, size=None, snapshot_id=snapshot_id)
    larger = a_volume(caller, size=5, snapshot_id=snapshot_id)
    first, second, third = (shown(caller, f"/volumes/{one}") for one in (source, same, larger))
    assert (second["size"], third["size"]) == (2, 5)
    for one in (second, third):
        assert (one["status"], one["snapshot_id"]) == ("available", snapshot_id)
        assert one["os-vol-host-attr:host"] == first["os-vol-host-attr:host"]
        assert (one["bootable"], one["volume_type"]) == ("true", first["volume_type"])
    body = {"volume": {"size": 1, "snapshot_id": snapshot_id}}
    text = fault(caller.post("/volumes", json=body), 400, "badRequest")
    assert "cannot be smaller than the original snapshot size 2GB" in text
    site.world.check()


def test_a_volume_is_made_from_a_volume_beside_it(site: Site, caller: Caller) -> None:
    source = a_volume(caller)
    in_use(site, source)
    clone = shown(caller, f"/volumes/{a_volume(caller, size=3, source_volid=source)}")
    in_use(site, source, "available")
    assert (clone["status"], clone["source_volid"], clone["size"]) == ("available", source, 3)
    assert (
        clone["os-vol-host-attr:host"]
        == (shown(caller, f"/volumes/{source}")["os-vol-host-attr:host"])
    )
    in_use(site, source, "error")
    body = {"volume": {"source_volid": source}}
    text = fault(caller.post("/volumes", json=body), 400, "badRequest")
    assert "Originating source volume status" in text
    in_use(site, source, "available")
    site.world.check()


def test_a_source_stays_while_something_is_made_from_it(site: Site, caller: Caller) -> None:
    source = a_volume(caller)
    snapshot_id = a_snapshot(caller, source)
    site.stop = "volume.create.create"
    a_volume(caller, size=None, snapshot_id=snapshot_id)
    for response in (
        caller.delete(f"/snapshots/{snapshot_id}"),
        action(caller, f"/snapshots/{snapshot_id}", "os-force_delete", {}),
        caller.delete(f"/volumes/{source}?cascade=true"),
    ):
        fault(response, 400, "badRequest")
    site.go_on()
    assert caller.delete(f"/volumes/{source}?cascade=true").status_code == 202
    site.world.check()


def test_what_a_volume_is_made_from_must_be_ones_own_and_one(
    caller: Caller,
) -> None:
    nowhere = new_id()
    for name, what in (("snapshot_id", "Snapshot"), ("source_volid", "Volume")):
        body = {"volume": {"size": 1, name: nowhere}}
        text = fault(caller.post("/volumes", json=body), 404, "itemNotFound")
        assert text == f"{what} {nowhere} could not be found."
    both = {"volume": {"snapshot_id": nowhere, "source_volid": nowhere}}
    assert "only one of" in fault(caller.post("/volumes", json=both), 400, "badRequest")
    source = a_volume(caller)
    body = {"volume": {"source_volid": source, "availability_zone": "elsewhere"}}
    assert "zone" in fault(caller.post("/volumes", json=body), 400, "badRequest")
    kinds = {"volume_type": {"name": "other", "extra_specs": {"volume_backend_name": "other"}}}
    made(caller.post("/types", json=kinds), 200)
    body = {"volume": {"source_volid": source, "volume_type": "other"}}
    assert "not compatible" in fault(caller.post("/volumes", json=body), 400, "badRequest")


# -- actions ---------------------------------------------------------------------------------------


def test_a_status_is_reset_and_a_snapshot_deleted_by_force(site: Site, caller: Caller) -> None:
    path = f"/snapshots/{a_snapshot(caller, a_volume(caller))}"
    assert action(caller, path, "os-reset_status", {"status": "backing-up"}).status_code == 202
    assert shown(caller, path)["status"] == "backing-up"
    fault(caller.delete(path), 400, "badRequest")
    assert "status" in fault(
        action(caller, path, "os-reset_status", {"status": "odd"}), 400, "badRequest"
    )
    assert action(caller, path, "os-force_delete", {}).status_code == 202
    fault(caller.get(path), 404, "itemNotFound")
    site.world.check()


def test_progress_is_reported_of_what_is_made_elsewhere(caller: Caller) -> None:
    path = f"/snapshots/{a_snapshot(caller, a_volume(caller))}"
    name = "os-update_snapshot_status"
    assert "not allowed" in fault(
        action(caller, path, name, {"status": "error"}), 400, "badRequest"
    )
    action(caller, path, "os-reset_status", {"status": "creating"})
    assert action(caller, path, name, {"status": "creating", "progress": "80%"}).status_code == 202
    assert shown(caller, path)["os-extended-snapshot-attributes:progress"] == "80%"
    text = fault(action(caller, path, name, {"status": "deleting"}), 400, "badRequest")
    assert "with status creating" in text
    assert "progress" in fault(
        action(caller, path, name, {"status": "creating", "progress": "101%"}), 400, "badRequest"
    )
    assert action(caller, path, name, {"status": "available"}).status_code == 202
    assert shown(caller, path)["status"] == "available"


def test_a_flow_alone_changes_the_status_of_what_it_makes(site: Site, caller: Caller) -> None:
    volume_id = a_volume(caller)
    site.stop = "snapshot.create.create"
    path = f"/snapshots/{a_snapshot(caller, volume_id)}"
    said = {"status": "available"}
    fault(action(caller, path, "os-update_snapshot_status", said), 400, "badRequest")
    said = {"status": "creating", "progress": "50"}
    assert action(caller, path, "os-update_snapshot_status", said).status_code == 202
    site.go_on()
    assert shown(caller, path)["status"] == "available"


# -- reverting -------------------------------------------------------------------------------------


def revert(caller: Caller, volume_id: str, snapshot_id: str, minor: int = 71) -> TestResponse:
    return action(caller, f"/volumes/{volume_id}", "revert", {"snapshot_id": snapshot_id}, minor)


def test_a_volume_goes_back_to_its_latest_snapshot(site: Site, caller: Caller) -> None:
    volume_id = a_volume(caller)
    older, latest = (a_snapshot(caller, volume_id) for _ in range(2))
    fault(revert(caller, volume_id, latest, 39), 404, "itemNotFound")
    assert "not the latest one" in fault(revert(caller, volume_id, older), 400, "badRequest")
    site.stop = "volume.revert.revert"
    assert revert(caller, volume_id, latest).status_code == 202
    assert shown(caller, f"/volumes/{volume_id}")["status"] == "reverting"
    assert shown(caller, f"/snapshots/{latest}")["status"] == "restoring"
    for response in (
        caller.delete(f"/snapshots/{latest}"),
        caller.delete(f"/volumes/{volume_id}?cascade=true"),
    ):
        fault(response, 400, "badRequest")
    fault(revert(caller, volume_id, latest), 409, "conflictingRequest")
    site.go_on()
    assert shown(caller, f"/volumes/{volume_id}")["status"] == "available"
    assert shown(caller, f"/snapshots/{latest}")["status"] == "available"
    site.world.check()


def test_what_cannot_be_reverted_is_left_alone(site: Site, caller: Caller) -> None:
    volume_id = a_volume(caller)
    text = fault(revert(caller, volume_id, new_id()), 400, "badRequest")
    assert "doesn't have any snapshots" in text
    snapshot_id = a_snapshot(caller, volume_id)
    in_use(site, volume_id)
    assert "in-use" in fault(revert(caller, volume_id, snapshot_id), 409, "conflictingRequest")
    in_use(site, volume_id, "available")
    action(caller, f"/snapshots/{snapshot_id}", "os-reset_status", {"status": "error"})
    text = fault(revert(caller, volume_id, snapshot_id), 409, "conflictingRequest")
    assert "Snapshot's status must be 'available'" in text
    action(caller, f"/snapshots/{snapshot_id}", "os-reset_status", {"status": "available"})
    action(caller, f"/volumes/{volume_id}", "os-extend", {"new_size": 3})
    text = fault(revert(caller, volume_id, snapshot_id), 400, "badRequest")
    assert "size must be equal" in text
    assert shown(caller, f"/volumes/{volume_id}")["status"] == "available"
    site.world.check()
