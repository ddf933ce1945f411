"""What a volume keeps of its image's metadata."""

from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from tests.api.conftest import PROJECT, Caller, basic, fault, volume

IMAGE = {"image_name": "cirros 🐧", "min_disk": "1"}


def act(caller: Caller, volume_id: str, name: str, body: Any = None, **more: Any) -> TestResponse:
    return caller.post(f"/volumes/{volume_id}/action", json={name: body}, **more)


def test_image_metadata_is_set_shown_and_unset(admin: Caller) -> None:
    volume_id = volume(image_meta={"os_type": "linux"})
    answer = act(admin, volume_id, "os-set_image_metadata", {"metadata": IMAGE})
    assert answer.status_code == 200
    assert answer.json == {"metadata": {"os_type": "linux"} | IMAGE}
    assert act(admin, volume_id, "os-show_image_metadata").json == answer.json
    assert act(admin, volume_id, "os-unset_image_metadata", {"key": "os_type"}).status_code == 200
    assert act(admin, volume_id, "os-show_image_metadata").json == {"metadata": IMAGE}


def test_a_volume_shows_it_where_it_has_some(admin: Caller) -> None:
    bare, imaged = volume(), volume(image_meta=IMAGE)
    listed = admin.get("/volumes/detail").json
    assert listed is not None
    by_id = {one["id"]: one for one in listed["volumes"]}
    assert by_id[imaged]["volume_image_metadata"] == IMAGE
    assert "volume_image_metadata" not in by_id[bare]


def test_a_change_that_was_overtaken_is_refused(admin: Caller) -> None:
    volume_id = volume(image_meta=IMAGE)
    etag = act(admin, volume_id, "os-show_image_metadata").headers["ETag"]
    change = {"metadata": {"os_type": "linux"}}
    first = act(admin, volume_id, "os-set_image_metadata", change, headers={"If-Match": etag})
    assert first.status_code == 200
    again = act(admin, volume_id, "os-set_image_metadata", change, headers={"If-Match": etag})
    assert again.status_code == 412
    assert "ETag" not in act(admin, volume_id, "os-show_image_metadata", minor=14).headers


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("os-set_image_metadata", None),
        ("os-set_image_metadata", {"metadata": {"k": 1}}),
        ("os-set_image_metadata", {"metadata": {"k": "v" * 256}}),
        ("os-set_image_metadata", {"metadata": {"": "v"}}),
        ("os-unset_image_metadata", {}),
        ("os-unset_image_metadata", {"key": 7}),
    ],
)
def test_wrong_image_metadata_is_refused(admin: Caller, name: str, body: Any) -> None:
    fault(act(admin, volume(), name, body), 400, "badRequest")


def test_what_is_not_there_is_not_unset(admin: Caller) -> None:
    missing = act(admin, volume(), "os-unset_image_metadata", {"key": "k"})
    fault(missing, 404, "itemNotFound")
    busy = volume(status="maintenance")
    fault(act(admin, busy, "os-set_image_metadata", {"metadata": IMAGE}), 400, "badRequest")


def test_another_projects_volume_is_not_found(basic_app: Flask) -> None:
    bob = basic(basic_app, "bob", "other")
    fault(act(bob, volume(), "os-show_image_metadata"), 404, "itemNotFound")
    assert basic(basic_app, "ann", PROJECT).get("/volumes").status_code == 200


def test_volumes_are_filtered_by_it(admin: Caller) -> None:
    volume(), volume(image_meta=IMAGE)
    wanted = {"glance_metadata": "{'image_name': 'cirros 🐧'}"}
    for minor, count in ((3, 2), (4, 1)):
        found = admin.get("/volumes", minor, query_string=wanted).json
        assert found is not None
        assert len(found["volumes"]) == count
