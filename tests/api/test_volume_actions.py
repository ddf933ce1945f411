"""POST /volumes/{id}/action."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from db.models import Pool, Volume, new_id
from db.transactions import writing
from tests.api.conftest import PROJECT, Caller, basic, fault, volume
from tests.api.working import Working, working

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
        (
            {"os-extend": {"new_size": 2}},
            ("volume.extend", {"new_size_gib": 2, "attached": False}),
        ),
        (
            {"os-extend": {"new_size": "30"}},
            ("volume.extend", {"new_size_gib": 30, "attached": False}),
        ),
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
        {"os-reset_status": {"attach_status": "loose"}},
        {"os-reset_status": {"migration_status": "perhaps"}},
        {"os-update_readonly_flag": {}},
        {"os-attach": {"mountpoint": "/dev/vdb"}},
        {"os-attach": {"host_name": "compute1"}},
        {"os-attach": {"host_name": "compute1", "mountpoint": ""}},
        {"os-attach": {"host_name": "compute1", "mountpoint": "/dev/vdb", "mode": "w"}},
        {"os-detach": {"attachment_id": "none"}},
        {"os-initialize_connection": {}},
        {"os-initialize_connection": {"connector": None}},
        {"os-terminate_connection": {}},
        {"os-migrate_volume": {"host": "node2@file#pool"}},
        {"os-migrate_volume_completion": {"new_volume": "x"}},
        {"os-volume_upload_image": {"image_name": "image"}},
        {"os-reimage": {"image_id": "x"}},
        {"os-extend_volume_completion": {"error": False}},
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


def test_a_later_action_is_not_found_before(admin: Caller) -> None:
    for minor, action in ((67, "os-reimage"), (70, "os-extend_volume_completion")):
        answer = admin.post(f"/volumes/{volume()}/action", minor, json={action: {}})
        fault(answer, 404, "itemNotFound")


def test_statuses_of_attaching_and_of_migration_are_reset(admin: Caller) -> None:
    volume_id = volume(status="in-use", attach_status="attached")
    attachment_id = attached(volume_id, admin)
    reset = {"status": "error", "attach_status": "detached", "migration_status": "migrating"}
    assert done(admin, volume_id, "os-reset_status", reset) == 202
    shown = admin.get(f"/volumes/{volume_id}").get_json()["volume"]
    assert (shown["status"], shown["migration_status"]) == ("error", "migrating")
    assert shown["attachments"] == []
    fault(admin.get(f"/attachments/{attachment_id}"), 404, "itemNotFound")
    assert done(admin, volume_id, "os-reset_status", {"migration_status": "none"}) == 202
    shown = admin.get(f"/volumes/{volume_id}").get_json()["volume"]
    assert shown["migration_status"] is None


# -- attaching, as clients of the older API do it ---------------------------------------------


def done(caller: Caller, volume_id: str, action: str, arguments: Any = None) -> int:
    return caller.post(f"/volumes/{volume_id}/action", json={action: arguments}).status_code


def refused(caller: Caller, volume_id: str, action: str, arguments: Any = None) -> str:
    answer = caller.post(f"/volumes/{volume_id}/action", json={action: arguments})
    return fault(answer, 400, "badRequest")


def status(caller: Caller, volume_id: str) -> str:
    return str(caller.get(f"/volumes/{volume_id}").get_json()["volume"]["status"])


def attached(volume_id: str, caller: Caller) -> str:
    """The id of the one attachment of a volume that `os-attach` makes."""
    made = {"host_name": "compute1", "mountpoint": "/dev/vdb"}
    with writing() as tx:
        row = tx.get_one(Volume, volume_id)
        row.status = "attaching"
    assert done(caller, volume_id, "os-attach", made) == 202
    (seen,) = caller.get(f"/volumes/{volume_id}").get_json()["volume"]["attachments"]
    return str(seen["attachment_id"])


def test_a_volume_is_attached_and_detached_the_older_way(admin: Caller) -> None:
    volume_id, instance = volume(), new_id()
    assert done(admin, volume_id, "os-reserve") == 202
    assert status(admin, volume_id) == "attaching"

    where = {"instance_uuid": instance, "mountpoint": "/dev/vdc", "mode": "ro"}
    assert done(admin, volume_id, "os-attach", where) == 202
    assert done(admin, volume_id, "os-attach", where) == 202  # said twice, it is attached once

    shown = admin.get(f"/volumes/{volume_id}").get_json()["volume"]
    assert shown["status"] == "in-use"
    (seen,) = shown["attachments"]
    assert (seen["server_id"], seen["device"], seen["host_name"]) == (instance, "/dev/vdc", None)
    assert shown["metadata"] == {"readonly": "False"}

    assert done(admin, volume_id, "os-begin_detaching") == 202
    assert status(admin, volume_id) == "detaching"
    assert done(admin, volume_id, "os-roll_detaching") == 202
    assert status(admin, volume_id) == "in-use"
    assert done(admin, volume_id, "os-begin_detaching") == 202
    detach = {"attachment_id": seen["attachment_id"]}
    assert done(admin, volume_id, "os-detach", detach) == 202
    shown = admin.get(f"/volumes/{volume_id}").get_json()["volume"]
    assert (shown["status"], shown["attachments"]) == ("available", [])


def test_a_reservation_is_given_up(admin: Caller) -> None:
    volume_id = volume()
    for action, then in (
        ("os-unreserve", "available"),
        ("os-reserve", "attaching"),
        ("os-unreserve", "available"),
        ("os-roll_detaching", "available"),
        ("os-reserve", "attaching"),
        ("os-detach", "available"),
    ):
        assert done(admin, volume_id, action, {} if action == "os-detach" else None) == 202
        assert status(admin, volume_id) == then, action


@pytest.mark.parametrize(
    ("action", "arguments", "taken"),
    [
        ("os-reserve", None, "attaching"),
        ("os-reserve", None, "in-use"),
        ("os-begin_detaching", None, "available"),
        ("os-attach", {"host_name": "h", "mountpoint": "/dev/vdb"}, "in-use"),
        ("os-attach", {"host_name": "h", "mountpoint": "/dev/vdb"}, "maintenance"),
        ("os-detach", {}, "maintenance"),
        ("os-update_readonly_flag", {"readonly": True}, "in-use"),
    ],
)
def test_what_a_volumes_status_forbids_is_refused_with_it(
    admin: Caller, action: str, arguments: Any, taken: str
) -> None:
    volume_id = volume(status=taken, attach_status="attached")
    assert f"'{taken}'" in refused(admin, volume_id, action, arguments)
    assert status(admin, volume_id) == taken


def test_a_read_only_volume_is_attached_for_reading_alone(admin: Caller) -> None:
    volume_id = volume()
    assert done(admin, volume_id, "os-update_readonly_flag", {"readonly": "true"}) == 202
    where = {"host_name": "compute1", "mountpoint": "/dev/vdb"}
    assert "Invalid attaching mode 'rw'" in refused(admin, volume_id, "os-attach", where)
    assert done(admin, volume_id, "os-attach", {**where, "mode": "ro"}) == 202
    assert status(admin, volume_id) == "in-use"


def test_a_shared_volume_is_detached_from_whom_one_names(admin: Caller) -> None:
    volume_id = volume(multiattach=True)
    for host in ("compute1", "compute2"):
        assert done(admin, volume_id, "os-reserve") == 202
        where = {"host_name": host, "mountpoint": "/dev/vdb"}
        assert done(admin, volume_id, "os-attach", where) == 202
    one, two = admin.get(f"/volumes/{volume_id}").get_json()["volume"]["attachments"]
    assert "more than one attachment" in refused(admin, volume_id, "os-detach", {})
    for seen, then in ((one, "in-use"), (two, "available")):
        detach = {"attachment_id": seen["attachment_id"]}
        assert done(admin, volume_id, "os-detach", detach) == 202
        assert status(admin, volume_id) == then


def test_of_two_at_once_one_wins(app: Flask, admin: Caller) -> None:
    volume_id, answers = volume(), list[int]()

    def reserve() -> None:
        caller = Caller(app.test_client(), PROJECT, admin.headers)
        answers.append(done(caller, volume_id, "os-reserve"))

    threads = [threading.Thread(target=reserve) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [202, 400, 400, 400]


@pytest.mark.parametrize(
    ("action", "arguments"),
    [
        ("os-reserve", None),
        ("os-detach", {}),
        ("os-initialize_connection", {"connector": {"host": "h"}}),
        ("os-terminate_connection", {"connector": None}),
        ("os-extend", {"new_size": 2}),
    ],
)
def test_another_projects_volume_is_not_found(
    basic_app: Flask, action: str, arguments: Any
) -> None:
    bob, volume_id = basic(basic_app, "bob", "other"), volume()
    answer = bob.post(f"/volumes/{volume_id}/action", json={action: arguments})
    fault(answer, 404, "itemNotFound")


def test_a_detach_by_force_is_for_admins(basic_app: Flask) -> None:
    ann, volume_id = basic(basic_app, "ann", PROJECT), volume()
    body = {"os-force_detach": {"attachment_id": None}}
    fault(ann.post(f"/volumes/{volume_id}/action", json=body), 403, "forbidden")


# -- with a node behind it --------------------------------------------------------------------


@pytest.fixture
def world_and_alice(
    tmp_path: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Working, Caller]]:
    with working(tmp_path, environ, monkeypatch) as (world, app):
        yield world, Caller(app.test_client(), PROJECT, {"X-Auth-Token": f"alice:{PROJECT}"})


CONNECTOR = {"host": "compute1", "initiator": "iqn.2026-01.example:compute1"}


def test_a_host_is_connected_and_disconnected(world_and_alice: tuple[Working, Caller]) -> None:
    world, alice = world_and_alice
    volume_id = world.made()
    assert done(alice, volume_id, "os-reserve") == 202

    asked = {"os-initialize_connection": {"connector": CONNECTOR}}
    answer = alice.post(f"/volumes/{volume_id}/action", json=asked)

    assert answer.status_code == 200
    info = answer.get_json()["connection_info"]
    assert info["driver_volume_type"] == "fake"
    assert info["data"]["access_mode"] == "rw"
    assert info["data"]["encrypted"] is False
    assert status(alice, volume_id) == "attaching"
    assert done(alice, volume_id, "os-terminate_connection", {"connector": CONNECTOR}) == 202
    assert done(alice, volume_id, "os-terminate_connection", {"connector": None}) == 202
    assert status(alice, volume_id) == "attaching"
    assert done(alice, volume_id, "os-unreserve") == 202
    world.check()


def test_a_volume_in_maintenance_is_not_connected(world_and_alice: tuple[Working, Caller]) -> None:
    world, alice = world_and_alice
    volume_id = world.made()
    assert done(alice, volume_id, "os-reset_status", {"status": "maintenance"}) == 202
    asked = {"connector": CONNECTOR}
    assert "'maintenance'" in refused(alice, volume_id, "os-initialize_connection", asked)


def test_an_attachment_with_a_connection_is_detached_by_its_node(
    world_and_alice: tuple[Working, Caller],
) -> None:
    world, alice = world_and_alice
    volume_id = world.made()
    body = {"attachment": {"volume_uuid": volume_id, "connector": CONNECTOR}}
    made = alice.post("/attachments", json=body).get_json()["attachment"]
    force = {"attachment_id": made["id"], "connector": CONNECTOR}
    assert done(alice, volume_id, "os-force_detach", force) == 202
    assert status(alice, volume_id) == "available"
    assert world.flow_of(made["id"], "attachment.disconnect").state == "succeeded"


def test_a_volume_in_use_is_extended(world_and_alice: tuple[Working, Caller]) -> None:
    world, alice = world_and_alice
    volume_id = world.made()
    attached(volume_id, alice)
    body = {"os-extend": {"new_size": 3}}
    fault(alice.post(f"/volumes/{volume_id}/action", 41, json=body), 400, "badRequest")
    assert alice.post(f"/volumes/{volume_id}/action", 42, json=body).status_code == 202
    shown = alice.get(f"/volumes/{volume_id}").get_json()["volume"]
    assert (shown["status"], shown["size"]) == ("in-use", 3)
    world.check()


def test_a_backend_that_cannot_extend_in_use_refuses(
    world_and_alice: tuple[Working, Caller],
) -> None:
    world, alice = world_and_alice
    volume_id = world.made()
    attached(volume_id, alice)
    with writing() as tx:
        for pool in tx.scalars(select(Pool)):
            pool.capabilities = {**pool.capabilities, "online_extend": False}
    assert "while in use" in refused(alice, volume_id, "os-extend", {"new_size": 3})
    assert status(alice, volume_id) == "in-use"


def test_a_reset_ends_what_connects_a_volume(world_and_alice: tuple[Working, Caller]) -> None:
    world, alice = world_and_alice
    volume_id = world.made()
    body = {"attachment": {"volume_uuid": volume_id, "connector": CONNECTOR}}
    made = alice.post("/attachments", json=body).get_json()["attachment"]
    assert done(alice, volume_id, "os-reset_status", {"attach_status": "detached"}) == 202
    fault(alice.get(f"/attachments/{made['id']}"), 404, "itemNotFound")
    assert status(alice, volume_id) == "available"
    (left,) = world.residues()
    assert left.op["verb"] == "disconnect"
    world.finish()
    assert not world.residues()
