"""Quota sets and quota class sets."""

from typing import Any

import pytest
from flask import Flask

from db.models import QuotaUsage, VolumeTypeAccess
from tests.api import rows
from tests.api.conftest import PROJECT, Caller, basic, fault
from tests.api.test_volume_types import PRIVATE, create

CONFIGURED = {
    "volumes": 10,
    "gigabytes": 1000,
    "snapshots": 10,
    "backups": 10,
    "backup_gigabytes": 1000,
    "groups": 10,
    "per_volume_gigabytes": -1,
    "volumes___DEFAULT__": -1,
    "gigabytes___DEFAULT__": -1,
    "snapshots___DEFAULT__": -1,
}


def limits(caller: Caller, project: str = "p") -> dict[str, Any]:
    response = caller.get(f"/os-quota-sets/{project}")
    assert response.status_code == 200, response.text
    assert response.json is not None
    return dict(response.json["quota_set"])


def test_a_project_without_limits_has_the_configured_ones(admin: Caller) -> None:
    assert limits(admin) == CONFIGURED | {"id": "p"}
    assert admin.get("/os-quota-sets/p/defaults").json == {"quota_set": CONFIGURED | {"id": "p"}}


def test_usage_comes_with_limit_and_reservations(admin: Caller) -> None:
    type_id = create(admin, "fast")
    rows.add(
        QuotaUsage(project_id="p", resource="volumes", in_use=3, reserved=1),
        QuotaUsage(project_id="p", resource=f"gigabytes_{type_id}", in_use=7, reserved=0),
        QuotaUsage(project_id="q", resource="volumes", in_use=9, reserved=9),
    )
    response = admin.get("/os-quota-sets/p?usage=True").json
    assert response is not None
    shown = response["quota_set"]
    assert shown["id"] == "p"
    assert shown["volumes"] == {"limit": 10, "in_use": 3, "reserved": 1}
    assert shown["gigabytes_fast"] == {"limit": -1, "in_use": 7, "reserved": 0}
    assert shown["gigabytes"] == {"limit": 1000, "in_use": 0, "reserved": 0}


def test_limits_are_set_and_taken_away(admin: Caller) -> None:
    create(admin, "fast")
    body = {"quota_set": {"volumes": 3, "gigabytes_fast": "50", "tenant_id": "p"}}
    response = admin.put("/os-quota-sets/p", json=body)
    assert response.status_code == 200
    assert response.json is not None
    assert response.json["quota_set"]["volumes"] == 3
    assert response.json["quota_set"]["gigabytes_fast"] == 50
    assert "id" not in response.json["quota_set"]
    again = admin.put("/os-quota-sets/p", json={"quota_set": {"volumes": -1}})
    assert again.status_code == 200
    assert limits(admin)["volumes"] == -1
    assert limits(admin)["gigabytes_fast"] == 50
    assert limits(admin, "q")["volumes"] == 10
    assert admin.delete("/os-quota-sets/p").status_code == 200
    assert limits(admin)["volumes"] == 10


def test_a_type_that_is_renamed_keeps_its_limits(admin: Caller) -> None:
    type_id = create(admin, "fast")
    admin.put("/os-quota-sets/p", json={"quota_set": {"volumes_fast": 4}})
    admin.put(f"/types/{type_id}", json={"volume_type": {"name": "quick"}})
    shown = limits(admin)
    assert shown["volumes_quick"] == 4
    assert "volumes_fast" not in shown


@pytest.mark.parametrize(
    ("quota_set", "said"),
    [
        ({"volumes": -2}, "from -1"),
        ({"volumes": "many"}, "many"),
        ({"volumes": 1.5}, "1.5"),
        ({"volumes": True}, "True"),
        ({"volumes": None}, "None"),
        ({"volumes": 2**31}, "2147483647"),
        ({"volumes": "9" * 5000}, "2147483647"),
        ({"volumes": "--1"}, "--1"),
        ({"volumes": "²"}, "²"),
        ({"melons": 1}, "melons"),
        ({"volumes_nothing": 1}, "volumes_nothing"),
        ([], "quota_set"),
    ],
)
def test_what_is_no_limit_is_refused(admin: Caller, quota_set: Any, said: str) -> None:
    good_too = {**quota_set, "snapshots": 4} if isinstance(quota_set, dict) else quota_set
    for path, key in (
        ("/os-quota-sets/p", "quota_set"),
        ("/os-quota-class-sets/default", "quota_class_set"),
    ):
        response = admin.put(path, json={key: good_too})
        assert said.removeprefix("quota_set") in fault(response, 400, "badRequest")
    assert limits(admin) == CONFIGURED | {"id": "p"}


def test_a_limit_below_the_usage_is_refused_on_request(admin: Caller) -> None:
    rows.used("p", volumes=5)
    body = {"quota_set": {"volumes": 4, "snapshots": 1}}
    refused = admin.put("/os-quota-sets/p?skip_validation=False", json=body)
    assert "volumes" in fault(refused, 400, "badRequest")
    assert limits(admin)["snapshots"] == 10
    unlimited = {"quota_set": {"volumes": -1}}
    assert admin.put("/os-quota-sets/p?skip_validation=False", json=unlimited).status_code == 200
    assert admin.put("/os-quota-sets/p", json=body).status_code == 200
    assert limits(admin)["volumes"] == 4
    fault(admin.put("/os-quota-sets/p?skip_validation=so", json=body), 400, "badRequest")


def test_the_default_class_is_every_projects_default(admin: Caller) -> None:
    admin.put("/os-quota-sets/p", json={"quota_set": {"volumes": 3}})
    body = {"quota_class_set": {"volumes": 20, "gigabytes": 5, "class_name": "default"}}
    response = admin.put("/os-quota-class-sets/default", json=body)
    assert response.status_code == 200
    assert response.json is not None
    assert response.json["quota_class_set"] == CONFIGURED | {"volumes": 20, "gigabytes": 5}
    assert limits(admin)["volumes"] == 3
    assert limits(admin)["gigabytes"] == 5
    defaults = admin.get("/os-quota-sets/p/defaults").json
    assert defaults is not None
    assert defaults["quota_set"]["volumes"] == 20
    shown = admin.get("/os-quota-class-sets/default").json
    assert shown is not None
    assert shown["quota_class_set"]["id"] == "default"
    other = admin.get("/os-quota-class-sets/gold").json
    assert other == {"quota_class_set": CONFIGURED | {"id": "gold"}}


def test_a_user_hears_of_no_type_that_is_not_for_him(basic_app: Flask) -> None:
    root, ann = basic(basic_app, "root", "ops"), basic(basic_app, "ann", PROJECT)
    type_id = create(root, "hidden", **PRIVATE)
    assert "volumes_hidden" not in limits(ann, PROJECT)
    assert "volumes_hidden" not in ann.get(f"/os-quota-sets/{PROJECT}/defaults").text
    assert limits(root, PROJECT)["volumes_hidden"] == -1
    rows.add(VolumeTypeAccess(volume_type_id=type_id, project_id=PROJECT))
    assert limits(ann, PROJECT)["volumes_hidden"] == -1


def test_a_user_sees_the_own_quota_and_changes_none(basic_app: Flask) -> None:
    ann = basic(basic_app, "ann", PROJECT)
    assert limits(ann, PROJECT)["volumes"] == 10
    assert ann.get(f"/os-quota-sets/{PROJECT}/defaults").status_code == 200
    body = {"quota_set": {"volumes": 99}}
    for response in (
        ann.get("/os-quota-sets/other"),
        ann.get("/os-quota-sets/other/defaults"),
        ann.put(f"/os-quota-sets/{PROJECT}", json=body),
        ann.delete(f"/os-quota-sets/{PROJECT}"),
        ann.get("/os-quota-class-sets/default"),
        ann.put("/os-quota-class-sets/default", json={"quota_class_set": {"volumes": 99}}),
    ):
        fault(response, 403, "forbidden")
    assert limits(ann, PROJECT)["volumes"] == 10
