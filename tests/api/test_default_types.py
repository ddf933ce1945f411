"""Default volume types of projects."""

from flask import Flask

from tests.api.conftest import PROJECT, Caller, basic, fault
from tests.api.test_volume_types import create


def put(caller: Caller, project: str, wanted: str) -> None:
    body = {"default_type": {"volume_type": wanted}}
    response = caller.put(f"/default-types/{project}", json=body)
    assert response.status_code == 200, response.text


def default(caller: Caller) -> str:
    response = caller.get("/types/default")
    assert response.json is not None
    return str(response.json["volume_type"]["name"])


def test_a_project_gets_a_default_of_its_own(admin: Caller) -> None:
    fast, slow = create(admin, "fast"), create(admin, "slow")
    assert default(admin) == "__DEFAULT__"
    put(admin, PROJECT, "fast")
    put(admin, "other", slow)
    assert default(admin) == "fast"
    both = [
        {"project_id": PROJECT, "volume_type_id": fast},
        {"project_id": "other", "volume_type_id": slow},
    ]
    assert admin.get("/default-types").json == {"default_types": both}
    assert admin.get("/default-types/other").json == {"default_type": both[1]}
    put(admin, PROJECT, slow)
    assert default(admin) == "slow"

    assert admin.delete(f"/default-types/{PROJECT}").status_code == 204
    assert default(admin) == "__DEFAULT__"
    fault(admin.get(f"/default-types/{PROJECT}"), 404, "itemNotFound")
    fault(admin.delete(f"/default-types/{PROJECT}"), 404, "itemNotFound")


def test_clients_leave_the_project_out_of_the_path(admin: Caller) -> None:
    create(admin, "fast")
    put(admin, "other", "fast")
    headers = {"OpenStack-API-Version": "volume 3.67"} | admin.headers
    assert admin.client.get("/v3/default-types/other", headers=headers).status_code == 200
    found = admin.client.get("/v3/default-types", headers=headers).json
    assert found is not None
    assert [one["project_id"] for one in found["default_types"]] == ["other"]


def test_a_projects_default_is_not_deleted(admin: Caller) -> None:
    fast = create(admin, "fast")
    put(admin, "other", "fast")
    assert "default" in fault(admin.delete(f"/types/{fast}"), 400, "badRequest")
    admin.delete("/default-types/other")
    assert admin.delete(f"/types/{fast}").status_code == 202


def test_what_is_no_type_is_refused(admin: Caller) -> None:
    body = {"default_type": {"volume_type": "melon"}}
    assert "melon" in fault(admin.put("/default-types/p", json=body), 400, "badRequest")
    fault(admin.put("/default-types/p", json={"default_type": {}}), 400, "badRequest")
    fault(admin.put("/default-types/p", json={}), 400, "badRequest")


def test_there_are_none_before_3_62(admin: Caller) -> None:
    fault(admin.get("/default-types", minor=61), 404, "itemNotFound")


def test_they_are_an_administrators(basic_app: Flask) -> None:
    ann = basic(basic_app, "ann", PROJECT)
    body = {"default_type": {"volume_type": "__DEFAULT__"}}
    for response in (
        ann.get("/default-types"),
        ann.get(f"/default-types/{PROJECT}"),
        ann.put(f"/default-types/{PROJECT}", json=body),
        ann.delete(f"/default-types/{PROJECT}"),
    ):
        fault(response, 403, "forbidden")
