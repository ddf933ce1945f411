"""Attachments, from the request to the node and back."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openstack
import pytest
from cinderclient.api_versions import APIVersion
from cinderclient.contrib import noauth
from cinderclient.v3.client import Client
from flask import Flask
from keystoneauth1.session import Session
from sqlalchemy import select
from werkzeug.test import TestResponse

from db.models import DEFAULT_TYPE_NAME, Attachment, FlowStep, Volume, VolumeType, new_id
from db.transactions import reading, writing
from tests.api.conftest import PROJECT, Caller, basic, fault, volume
from tests.api.working import Working, address, working
from tests.tasks.faults import NodeDies

CONNECTOR = {"host": "compute1", "initiator": "iqn.2026-01.example:compute1", "ip": "192.0.2.1"}
ELSEWHERE = {**CONNECTOR, "host": "compute2"}


@pytest.fixture
def world_and_app(
    tmp_path: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Working, Flask]]:
    with working(tmp_path, environ, monkeypatch) as found:
        yield found


@pytest.fixture
def world(world_and_app: tuple[Working, Flask]) -> Working:
    return world_and_app[0]


@pytest.fixture
def alice(world_and_app: tuple[Working, Flask]) -> Caller:
    """An administrator, as everybody without authentication is."""
    headers = {"X-Auth-Token": f"alice:{PROJECT}"}
    return Caller(world_and_app[1].test_client(), PROJECT, headers)


def create(caller: Caller, volume_id: str, minor: int = 71, **asked: Any) -> dict[str, Any]:
    body = {"attachment": {"volume_uuid": volume_id, **asked}}
    response = caller.post("/attachments", minor, json=body)
    assert response.status_code == 200, response.text
    return dict(response.get_json()["attachment"])


def refused(caller: Caller, volume_id: str, status: int = 400, **asked: Any) -> str:
    name = {400: "badRequest", 403: "forbidden", 404: "itemNotFound"}[status]
    body = {"attachment": {"volume_uuid": volume_id, **asked}}
    return fault(caller.post("/attachments", json=body), status, name)


def update(caller: Caller, attachment_id: str, connector: Any = None) -> dict[str, Any]:
    body = {"attachment": {"connector": connector or CONNECTOR}}
    response = caller.put(f"/attachments/{attachment_id}", json=body)
    assert response.status_code == 200, response.text
    return dict(response.get_json()["attachment"])


def complete(caller: Caller, attachment_id: str) -> None:
    url = f"/attachments/{attachment_id}/action"
    assert caller.post(url, json={"os-complete": None}).status_code == 204


def show(caller: Caller, volume_id: str) -> dict[str, Any]:
    return dict(caller.get(f"/volumes/{volume_id}").get_json()["volume"])


def status(caller: Caller, volume_id: str) -> str:
    return str(show(caller, volume_id)["status"])


def attach_status(volume_id: str) -> str | None:
    with reading() as tx:
        return tx.scalar(select(Volume.attach_status).where(Volume.id == volume_id))


def test_a_volume_is_reserved_connected_attached_and_taken_back(
    world: Working, alice: Caller
) -> None:
    volume_id, instance = world.made(), new_id()

    reserved = create(alice, volume_id, instance_uuid=instance)

    assert reserved == {
        "id": reserved["id"],
        "status": "reserved",
        "instance": instance,
        "volume_id": volume_id,
        "attached_at": "",
        "detached_at": "",
        "attach_mode": None,
        "connection_info": {},
    }
    assert status(alice, volume_id) == "reserved"

    connected = update(alice, reserved["id"], {**CONNECTOR, "mountpoint": "/dev/vdb"})

    assert (connected["status"], connected["attach_mode"]) == ("attaching", "rw")
    info = connected["connection_info"]
    assert info["driver_volume_type"] == "fake"
    assert info["attachment_id"] == reserved["id"]
    assert (info["access_mode"], info["encrypted"], info["qos_specs"]) == ("rw", False, None)
    assert "data" not in info
    assert status(alice, volume_id) == "attaching"
    assert show(alice, volume_id)["attachments"] == []

    complete(alice, reserved["id"])

    shown = show(alice, volume_id)
    assert (shown["status"], attach_status(volume_id)) == ("in-use", "attached")
    (seen,) = shown["attachments"]
    assert seen["attachment_id"] == reserved["id"]
    assert (seen["id"], seen["volume_id"], seen["server_id"]) == (volume_id, volume_id, instance)
    assert (seen["host_name"], seen["device"]) == ("compute1", "/dev/vdb")
    assert alice.get(f"/attachments/{reserved['id']}").get_json()["attachment"] == {
        **connected,
        "status": "attached",
    }

    gone = alice.delete(f"/attachments/{reserved['id']}")

    assert (gone.status_code, gone.get_json()) == (200, {"attachments": []})
    assert (status(alice, volume_id), attach_status(volume_id)) == ("available", "detached")
    fault(alice.get(f"/attachments/{reserved['id']}"), 404, "itemNotFound")
    world.check()


def test_a_create_with_a_connector_connects_at_once(world: Working, alice: Caller) -> None:
    volume_id = world.made()
    made = create(alice, volume_id, connector={**CONNECTOR, "mode": "ro"})
    assert (made["status"], made["attach_mode"]) == ("attaching", "ro")
    assert made["connection_info"]["access_mode"] == "ro"
    assert status(alice, volume_id) == "attaching"


def test_a_reserved_attachment_is_given_up(world: Working, alice: Caller) -> None:
    volume_id = world.made()
    made = create(alice, volume_id)
    assert alice.delete(f"/attachments/{made['id']}").get_json() == {"attachments": []}
    assert status(alice, volume_id) == "available"


@pytest.mark.parametrize("taken", ["reserved", "attaching", "in-use", "error", "deleting"])
def test_a_volume_that_is_not_free_is_refused_with_its_status(admin: Caller, taken: str) -> None:
    volume_id = volume(status=taken)
    assert f"'{taken}'" in refused(admin, volume_id)
    assert status(admin, volume_id) == taken


def test_the_mode_of_an_attachment_is_known_from_354_on(admin: Caller) -> None:
    body = {"attachment": {"volume_uuid": volume(), "mode": "ro"}}
    assert "3.54" in fault(admin.post("/attachments", 53, json=body), 400, "badRequest")
    assert create(admin, volume(), 54, mode="ro")["attach_mode"] == "ro"


def test_what_a_client_does_not_know_of_its_host_may_be_null(world: Working, alice: Caller) -> None:
    """As the cinder command sends it."""
    unknown = dict.fromkeys(("mountpoint", "mode", "ip", "platform", "os_type", "multipath"))
    made = create(alice, world.made(), connector={**CONNECTOR, **unknown})
    assert made["attach_mode"] == "rw"


def test_the_mode_that_was_asked_for_wins_over_the_connectors(
    world: Working, alice: Caller
) -> None:
    made = create(alice, world.made(), mode="ro", connector={**CONNECTOR, "mode": "rw"})
    assert (made["attach_mode"], made["connection_info"]["access_mode"]) == ("ro", "ro")


def test_a_read_only_volume_is_only_read(world: Working, alice: Caller) -> None:
    volume_id = world.made()
    body = {"os-update_readonly_flag": {"readonly": True}}
    assert alice.post(f"/volumes/{volume_id}/action", json=body).status_code == 202
    assert show(alice, volume_id)["metadata"] == {"readonly": "True"}
    made = create(alice, volume_id, mode="rw", connector=CONNECTOR)
    assert (made["attach_mode"], made["connection_info"]["access_mode"]) == ("ro", "ro")


def test_an_instance_may_have_its_volume_twice_while_it_moves(
    world: Working, alice: Caller
) -> None:
    volume_id, instance = world.made(), new_id()
    here = create(alice, volume_id, instance_uuid=instance, connector=CONNECTOR)
    complete(alice, here["id"])
    assert "'in-use'" in refused(alice, volume_id, instance_uuid=new_id())

    there = create(alice, volume_id, instance_uuid=instance)
    assert status(alice, volume_id) == "in-use"
    again = alice.put(f"/attachments/{there['id']}", json={"attachment": {"connector": CONNECTOR}})
    assert "duplicate connectors" in fault(again, 400, "badRequest")
    update(alice, there["id"], ELSEWHERE)
    complete(alice, there["id"])
    left = alice.delete(f"/attachments/{here['id']}").get_json()["attachments"]

    assert [attachment["id"] for attachment in left] == [there["id"]]
    assert status(alice, volume_id) == "in-use"


def _multiattach(world: Working) -> str:
    with writing() as tx:
        tx.add(VolumeType(name="shared", extra_specs={"multiattach": "<is> True"}))
    return world.made(volume_type="shared")


def test_a_volume_of_a_shared_type_is_attached_several_times(world: Working, alice: Caller) -> None:
    volume_id = _multiattach(world)
    assert show(alice, volume_id)["multiattach"] is True
    first = create(alice, volume_id, instance_uuid=new_id(), connector=CONNECTOR)
    assert "'attaching'" in refused(alice, volume_id, instance_uuid=new_id())
    complete(alice, first["id"])
    second = create(alice, volume_id, instance_uuid=new_id(), connector=ELSEWHERE)
    complete(alice, second["id"])

    assert len(show(alice, volume_id)["attachments"]) == 2
    alice.delete(f"/attachments/{first['id']}")
    assert (status(alice, volume_id), attach_status(volume_id)) == ("in-use", "attached")
    alice.delete(f"/attachments/{second['id']}")
    assert (status(alice, volume_id), attach_status(volume_id)) == ("available", "detached")


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"volume_uuid": "no-uuid"},
        {"volume_uuid": new_id(), "instance_uuid": "no-uuid"},
        {"volume_uuid": new_id(), "connector": "compute1"},
        {"volume_uuid": new_id(), "connector": {"host": "h" * 256}},
        {"volume_uuid": new_id(), "connector": {"mode": "w"}},
        {"volume_uuid": new_id(), "mode": "wr"},
        {"volume_uuid": new_id(), "host": "compute1"},
    ],
)
def test_a_wrong_create_is_refused(admin: Caller, asked: dict[str, Any]) -> None:
    fault(admin.post("/attachments", json={"attachment": asked}), 400, "badRequest")


@pytest.mark.parametrize("connector", [{}, None, "compute1", []])
def test_a_wrong_connector_is_refused(admin: Caller, connector: Any) -> None:
    made = create(admin, volume())
    body = {"attachment": {"connector": connector}}
    fault(admin.put(f"/attachments/{made['id']}", json=body), 400, "badRequest")
    assert admin.get(f"/attachments/{made['id']}").get_json()["attachment"] == made


def test_what_there_is_not_is_not_found(admin: Caller) -> None:
    refused(admin, new_id(), 404)
    body = {"attachment": {"connector": CONNECTOR}}
    for answer in (
        admin.get(f"/attachments/{new_id()}"),
        admin.get("/attachments/none"),
        admin.put(f"/attachments/{new_id()}", json=body),
        admin.post(f"/attachments/{new_id()}/action", json={"os-complete": None}),
        admin.delete(f"/attachments/{new_id()}"),
    ):
        assert "attachment_id" in fault(answer, 404, "itemNotFound")


def test_earlier_versions_have_no_attachments(admin: Caller) -> None:
    made = create(admin, volume(), 27)
    fault(admin.get("/attachments", 26), 404, "itemNotFound")
    url = f"/attachments/{made['id']}/action"
    fault(admin.post(url, 43, json={"os-complete": {}}), 404, "itemNotFound")
    fault(admin.post(url, json={"os-begin": {}}), 400, "badRequest")
    assert admin.post(url, 44, json={"os-complete": made["id"]}).status_code == 204


def test_one_sees_ones_own_attachments(basic_app: Flask) -> None:
    ann, bob = basic(basic_app, "ann", PROJECT), basic(basic_app, "bob", "other")
    root = basic(basic_app, "root", "ops")
    mine, theirs = create(ann, volume()), create(bob, volume(project_id="other"))

    def ids(caller: Caller, query: str = "") -> list[str]:
        found = caller.get(f"/attachments{query}").get_json()["attachments"]
        return [attachment["id"] for attachment in found]

    assert (ids(ann), ids(bob), ids(root)) == ([mine["id"]], [theirs["id"]], [])
    assert ids(root, "?all_tenants=1&sort=created_at:asc") == [mine["id"], theirs["id"]]
    assert ids(ann, "?all_tenants=1") == [mine["id"]]
    fault(bob.get(f"/attachments/{mine['id']}"), 404, "itemNotFound")
    fault(bob.delete(f"/attachments/{mine['id']}"), 404, "itemNotFound")
    refused(bob, mine["volume_id"], 404)
    ann_sees = ann.get(f"/attachments/{mine['id']}").get_json()["attachment"]
    assert ann_sees == mine


def test_attachments_are_listed_filtered_and_paged(admin: Caller) -> None:
    instance = new_id()
    one = create(admin, volume(), instance_uuid=instance)
    two = create(admin, volume())
    complete(admin, two["id"])

    def ids(query: str) -> list[str]:
        response = admin.get(f"/attachments?{query}")
        assert response.status_code == 200, response.text
        return [attachment["id"] for attachment in response.get_json()["attachments"]]

    assert ids("sort=created_at:desc") == [two["id"], one["id"]]
    assert ids(f"instance_id={instance}") == [one["id"]]
    assert ids(f"volume_id={two['volume_id']}") == [two["id"]]
    assert ids("status=attached") == ids("attach_status=attached") == [two["id"]]
    assert ids(f"sort=created_at:asc&marker={one['id']}") == [two["id"]]
    fault(admin.get("/attachments?colour=red"), 400, "badRequest")
    page = admin.get("/attachments/detail?limit=1&sort_key=created_at&sort_dir=asc").get_json()
    assert page["attachments"] == [one]
    assert f"marker={one['id']}" in page["attachments_links"][0]["href"]
    short = admin.get("/attachments").get_json()["attachments"][0]
    assert set(short) == {"id", "status", "instance", "volume_id"}


def test_a_node_that_refuses_the_connector_leaves_nothing(world: Working, alice: Caller) -> None:
    volume_id = world.made()
    for node in world.nodes.values():
        node.fail(connect=[{"fault": "fail_before", "times": 1}])
    response = alice.post(
        "/attachments",
        json={"attachment": {"volume_uuid": volume_id, "connector": CONNECTOR}},
    )
    fault(response, 500, "computeFault")
    assert status(alice, volume_id) == "available"
    assert alice.get("/attachments").get_json()["attachments"] == []
    world.finish()


def test_a_connection_that_is_not_made_in_time_is_taken_back(world: Working, alice: Caller) -> None:
    volume_id = world.made()
    made = create(alice, volume_id)
    for node in world.nodes.values():
        node.die()
    body = {"attachment": {"connector": CONNECTOR}}
    fault(alice.put(f"/attachments/{made['id']}", json=body), 503, "serviceUnavailable")
    for node in world.nodes.values():
        node.start()
    world.finish()
    assert alice.get(f"/attachments/{made['id']}").get_json()["attachment"] == made
    assert update(alice, made["id"])["status"] == "attaching"


def test_a_detach_without_its_node_goes_on_when_that_is_back(world: Working, alice: Caller) -> None:
    volume_id = world.made()
    made = create(alice, volume_id, connector=CONNECTOR)
    complete(alice, made["id"])
    world.faults.append(NodeDies("attachment.disconnect.disconnect", "begin", back=12))

    assert alice.delete(f"/attachments/{made['id']}").status_code == 200
    while world.flow_of(made["id"], "attachment.disconnect").state == "running":
        world.tick()

    parked = alice.get(f"/attachments/{made['id']}").get_json()["attachment"]
    assert (parked["status"], status(alice, volume_id)) == ("error_detaching", "in-use")
    fault(alice.delete(f"/volumes/{volume_id}"), 400, "badRequest")
    for _ in range(12):
        world.tick()
    world.finish()
    fault(alice.get(f"/attachments/{made['id']}"), 404, "itemNotFound")
    assert status(alice, volume_id) == "available"


@pytest.mark.parametrize("query", ["", "?force=true"])
def test_an_attached_volume_is_not_deleted(world: Working, alice: Caller, query: str) -> None:
    volume_id = world.made()
    made = create(alice, volume_id, connector=CONNECTOR)
    complete(alice, made["id"])
    fault(alice.delete(f"/volumes/{volume_id}{query}"), 400, "badRequest")
    assert status(alice, volume_id) == "in-use"


def test_a_forced_delete_takes_a_reservation_with_it(world: Working, alice: Caller) -> None:
    volume_id = world.made()
    made = create(alice, volume_id, connector=CONNECTOR)
    fault(alice.delete(f"/volumes/{volume_id}"), 400, "badRequest")
    assert alice.delete(f"/volumes/{volume_id}?force=true").status_code == 202
    world.finish()
    fault(alice.get(f"/volumes/{volume_id}"), 404, "itemNotFound")
    fault(alice.get(f"/attachments/{made['id']}"), 404, "itemNotFound")
    assert not world.residues()


def test_how_a_host_reaches_a_volume_is_not_in_the_journal(world: Working, alice: Caller) -> None:
    made = create(alice, world.made(), connector=CONNECTOR)
    assert made["connection_info"]
    flow = world.flow_of(made["id"], "attachment.connect")
    with reading() as tx:
        results = tx.scalars(select(FlowStep.result).where(FlowStep.flow_id == flow.id)).all()
    assert len(results) == 3
    assert not any("connection_info" in result for result in results)


def test_of_several_requests_for_one_volume_one_wins(app: Flask, admin: Caller) -> None:
    body, answers = {"attachment": {"volume_uuid": volume()}}, list[TestResponse]()

    def reserve() -> None:
        caller = Caller(app.test_client(), PROJECT, admin.headers)
        answers.append(caller.post("/attachments", json=body))

    threads = [threading.Thread(target=reserve) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.status_code for answer in answers) == [200, 400, 400, 400]
    for answer in answers:
        if answer.status_code == 400:
            assert "'reserved'" in fault(answer, 400, "badRequest")
    with reading() as tx:
        assert len(tx.scalars(select(Attachment)).all()) == 1


def test_a_default_type_is_not_shared(world: Working, alice: Caller) -> None:
    volume_id = world.made(volume_type=DEFAULT_TYPE_NAME)
    assert show(alice, volume_id)["multiattach"] is False


# -- real clients ------------------------------------------------------------------------------


def test_cinderclient_attaches_a_volume(world_and_app: tuple[Working, Flask]) -> None:
    world, app = world_and_app
    volume_id, instance = world.made(), new_id()
    with address(app) as url:
        auth = noauth.CinderNoAuthPlugin("alice", PROJECT, endpoint=f"{url}/v3")
        cinder = Client(api_version=APIVersion("3.71"), session=Session(auth=auth))

        made = cinder.attachments.create(volume_id, None, instance, mode="rw")
        assert made["attach_mode"] == "rw"
        connected = cinder.attachments.update(made["id"], CONNECTOR)
        assert connected.connection_info["driver_volume_type"] == "fake"
        cinder.attachments.complete(made["id"])
        shown = cinder.attachments.show(made["id"])
        assert (shown.status, shown.instance) == ("attached", instance)
        (listed,) = cinder.attachments.list(search_opts={"volume_id": volume_id})
        assert listed.id == made["id"]
        assert cinder.volumes.get(volume_id).status == "in-use"
        cinder.attachments.delete(made["id"])
        assert cinder.volumes.get(volume_id).status == "available"

        cinder.volumes.reserve(volume_id)
        info = cinder.volumes.initialize_connection(volume_id, CONNECTOR)
        assert info["driver_volume_type"] == "fake"
        cinder.volumes.attach(volume_id, None, "/dev/vdb", host_name="compute1")
        cinder.volumes.begin_detaching(volume_id)
        cinder.volumes.terminate_connection(volume_id, CONNECTOR)
        cinder.volumes.detach(volume_id)
        assert cinder.volumes.get(volume_id).status == "available"


def test_openstacksdk_attaches_a_volume(world_and_app: tuple[Working, Flask]) -> None:
    world, app = world_and_app
    volume_id, instance = world.made(), new_id()
    with address(app) as url:
        endpoint = f"{url}/v3/{PROJECT}"
        cloud = openstack.connect(
            auth_type="none",
            endpoint=endpoint,
            block_storage_endpoint_override=endpoint,
            block_storage_default_microversion="3.71",
        )
        storage = cloud.block_storage

        made = storage.create_attachment(volume_id, connector=None, instance=instance)
        assert made.status == "reserved"
        connected = storage.update_attachment(made, connector=CONNECTOR)
        assert connected.connection_info["driver_volume_type"] == "fake"
        storage.complete_attachment(made)
        assert storage.get_attachment(made).status == "attached"
        assert [one.id for one in storage.attachments(volume_id=volume_id)] == [made.id]
        (seen,) = storage.get_volume(volume_id).attachments
        assert seen["server_id"] == instance
        storage.delete_attachment(made)
        assert storage.get_volume(volume_id).status == "available"
