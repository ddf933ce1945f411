"""Encryption of volume types."""

from typing import Any

import pytest
from flask import Flask

from db.models import Hold, Snapshot, new_id
from tests.api import rows
from tests.api.conftest import PROJECT, Caller, basic, fault, volume
from tests.api.test_volume_types import create

LUKS = {
    "provider": "luks",
    "cipher": "aes-xts-plain64",
    "key_size": 256,
    "control_location": "front-end",
}


def test_an_encryption_is_created_changed_and_deleted(admin: Caller) -> None:
    path = f"/types/{create(admin, 'secret')}/encryption"
    assert admin.get(path).json == {}
    response = admin.post(path, json={"encryption": LUKS})
    assert response.status_code == 200
    assert response.json is not None
    made = response.json["encryption"]
    assert made | LUKS == made
    shown = admin.get(path).json
    assert shown is not None
    assert shown | made == shown
    assert shown["deleted"] is False
    assert admin.get(f"{path}/cipher").json == {"cipher": "aes-xts-plain64"}
    fault(admin.get(f"{path}/colour"), 404, "itemNotFound")

    again = admin.post(path, json={"encryption": LUKS})
    assert "already exists" in fault(again, 400, "badRequest")
    change = {"encryption": {"cipher": None, "key_size": "512"}}
    changed = admin.put(f"{path}/provider", json=change)
    assert changed.json == {"encryption": {"cipher": None, "key_size": 512}}
    assert admin.get(f"{path}/key_size").json == {"key_size": 512}
    fault(admin.put(f"{path}/{new_id()}", json=change), 404, "itemNotFound")

    assert admin.delete(f"{path}/{made['encryption_id']}").status_code == 202
    assert admin.get(path).json == {}
    for gone in (
        admin.delete(f"{path}/provider"),
        admin.put(f"{path}/provider", json=change),
        admin.get(f"{path}/provider"),
    ):
        assert "does not exist" in fault(gone, 404, "itemNotFound")


@pytest.mark.parametrize(
    ("encryption", "said"),
    [
        ({}, "provider"),
        ({"provider": "luks"}, "control_location"),
        (LUKS | {"control_location": "nowhere"}, "front-end"),
        (LUKS | {"key_size": -1}, "key_size"),
        (LUKS | {"key_size": "long"}, "key_size"),
        (LUKS | {"key_size": True}, "key_size"),
        (LUKS | {"provider": " "}, "empty"),
        (LUKS | {"colour": "red"}, "colour"),
    ],
)
def test_what_is_no_encryption_is_refused(admin: Caller, encryption: Any, said: str) -> None:
    path = f"/types/{create(admin, 'secret')}/encryption"
    response = admin.post(path, json={"encryption": encryption})
    assert said in fault(response, 400, "badRequest")
    assert admin.get(path).json == {}


@pytest.mark.parametrize("user", ["volume", "snapshot", "flow"])
def test_the_encryption_of_a_type_in_use_stays(admin: Caller, user: str) -> None:
    type_id, bare = create(admin, "secret"), create(admin, "bare")
    path = f"/types/{type_id}/encryption"
    admin.post(path, json={"encryption": LUKS})
    for used in (type_id, bare):
        if user == "flow":
            rows.add(Hold(flow_id=rows.flow(state="running"), resource_id=used))
        elif user == "volume":
            volume(volume_type_id=used)
        else:
            owner = {"project_id": PROJECT, "user_id": "u", "volume_id": volume()}
            row = Snapshot(id=new_id(), size=1, status="available", volume_type_id=used, **owner)
            rows.add(row)
    for response in (
        admin.put(f"{path}/provider", json={"encryption": {"cipher": None}}),
        admin.delete(f"{path}/provider"),
        admin.post(f"/types/{bare}/encryption", json={"encryption": LUKS}),
        admin.delete(f"/types/{type_id}"),
    ):
        assert "in use" in fault(response, 400, "badRequest")


def test_an_encryption_goes_with_its_type(admin: Caller) -> None:
    type_id = create(admin, "secret")
    admin.post(f"/types/{type_id}/encryption", json={"encryption": LUKS})
    assert admin.delete(f"/types/{type_id}").status_code == 202
    fault(admin.get(f"/types/{type_id}/encryption"), 404, "itemNotFound")


def test_it_is_an_administrators(basic_app: Flask) -> None:
    root, ann = basic(basic_app, "root", "ops"), basic(basic_app, "ann", PROJECT)
    path = f"/types/{create(root, 'secret')}/encryption"
    for response in (
        ann.get(path),
        ann.get(f"{path}/cipher"),
        ann.post(path, json={"encryption": LUKS}),
        ann.put(f"{path}/provider", json={"encryption": LUKS}),
        ann.delete(f"{path}/provider"),
    ):
        fault(response, 403, "forbidden")
