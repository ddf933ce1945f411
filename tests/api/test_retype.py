"""A volume gets another type, where it is."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from db.models import QosSpec, Volume, VolumeType, VolumeTypeEncryption, new_id
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


@pytest.fixture
def volume_id(caller: Caller) -> str:
    response = caller.post("/volumes", json={"volume": {"size": 2}})
    assert response.json is not None
    return str(response.json["volume"]["id"])


def a_type(site: Site, name: str = "gold", **columns: Any) -> str:
    type_id = new_id()
    with site.world.writing() as tx:
        tx.add(VolumeType(id=type_id, name=name, **columns))
    return type_id


def retype(caller: Caller, volume_id: str, new_type: str, **asked: Any) -> TestResponse:
    body = {"os-retype": {"new_type": new_type, **asked}}
    return caller.post(f"/volumes/{volume_id}/action", json=body)


def shown(caller: Caller, volume_id: str) -> dict[str, Any]:
    response = caller.get(f"/volumes/{volume_id}")
    assert response.json is not None
    return dict(response.json["volume"])


def used(caller: Caller) -> dict[str, int]:
    response = caller.get(f"/os-quota-sets/{PROJECT}?usage=true")
    assert response.json is not None
    usage = response.json["quota_set"]
    return {
        name: one["in_use"]
        for name, one in usage.items()
        if isinstance(one, dict) and one["in_use"]
    }


def attach(site: Site, volume_id: str) -> None:
    """As if it were attached."""
    with site.world.writing() as tx:
        tx.get_one(Volume, volume_id).status = "in-use"


@pytest.mark.parametrize("status", ["available", "in-use"])
def test_a_volume_is_charged_as_one_of_its_new_type(
    site: Site, caller: Caller, volume_id: str, status: str
) -> None:
    a_type(site)
    if status == "in-use":
        attach(site, volume_id)
    assert retype(caller, volume_id, "gold", migration_policy="never").status_code == 202
    assert (shown(caller, volume_id)["volume_type"], shown(caller, volume_id)["status"]) == (
        "gold",
        status,
    )
    assert used(caller) == {
        "volumes": 1,
        "gigabytes": 2,
        "volumes_gold": 1,
        "gigabytes_gold": 2,
    }
    site.world.check()


def test_over_the_new_types_quota_nothing_changes(
    site: Site, caller: Caller, volume_id: str
) -> None:
    a_type(site)
    before = used(caller)
    caller.put(f"/os-quota-sets/{PROJECT}", json={"quota_set": {"gigabytes_gold": 1}})
    fault(retype(caller, volume_id, "gold"), 413, "overLimit")
    assert used(caller) == before
    assert shown(caller, volume_id)["status"] == "available"
    site.world.check()


@pytest.mark.parametrize(
    ("policy", "hint"), [("never", "'never'"), ("on-demand", "cannot migrate")]
)
def test_a_type_that_the_pool_does_not_suit_is_refused(
    site: Site, caller: Caller, volume_id: str, policy: str, hint: str
) -> None:
    a_type(site, extra_specs={"media": "ssd"})
    refused = retype(caller, volume_id, "gold", migration_policy=policy)
    text = fault(refused, 400, "badRequest")
    assert "media" in text
    assert hint in text
    assert shown(caller, volume_id)["volume_type"] == "__DEFAULT__"
    site.world.check()


def test_encryption_is_not_changed(site: Site, caller: Caller, volume_id: str) -> None:
    type_id = a_type(site)
    with site.world.writing() as tx:
        tx.add(
            VolumeTypeEncryption(
                volume_type_id=type_id, provider="luks", control_location="front-end"
            )
        )
    assert "encrypt" in fault(retype(caller, volume_id, "gold"), 400, "badRequest")


def test_what_a_host_enforces_is_not_changed_while_it_is_attached(
    site: Site, caller: Caller, volume_id: str
) -> None:
    specs = QosSpec(id=new_id(), name="q", consumer="front-end", specs={"total_iops_sec": "9"})
    with site.world.writing() as tx:
        tx.add(specs)
        qos_id = specs.id
    a_type(site, qos_specs_id=qos_id)
    a_type(site, "shared", extra_specs={"multiattach": "<is> True"})
    attach(site, volume_id)
    assert "qos" in fault(retype(caller, volume_id, "gold"), 400, "badRequest")
    assert "multiattach" in fault(retype(caller, volume_id, "shared"), 400, "badRequest")


def test_a_multiattach_type_makes_the_volume_so(site: Site, caller: Caller, volume_id: str) -> None:
    a_type(site, "shared", extra_specs={"multiattach": "<is> True"})
    assert retype(caller, volume_id, "shared").status_code == 202
    assert shown(caller, volume_id)["multiattach"] is True


def test_a_retype_that_breaks_off_leaves_the_volume_as_it_was(
    site: Site, caller: Caller, volume_id: str
) -> None:
    a_type(site)
    before = used(caller)
    site.stop = "volume.retype.finish"
    assert retype(caller, volume_id, "gold").status_code == 202
    assert shown(caller, volume_id)["status"] == "retyping"
    flows = caller.get(f"/flows/{volume_id}").json
    assert flows is not None
    (flow,) = [one for one in flows["flows"] if one["kind"] == "volume.retype"]
    assert caller.post(f"/flows/{flow['id']}/action", json={"cancel": {}}).status_code == 202
    site.go_on()
    site.world.settle()
    assert (shown(caller, volume_id)["volume_type"], shown(caller, volume_id)["status"]) == (
        "__DEFAULT__",
        "available",
    )
    assert used(caller) == before
    site.world.check()


@pytest.mark.parametrize(
    ("asked", "status", "name"),
    [
        ({"new_type": "__DEFAULT__"}, 400, "badRequest"),
        ({"new_type": ""}, 400, "badRequest"),
        ({"new_type": "none such"}, 404, "itemNotFound"),
        ({"new_type": "gold", "migration_policy": "always"}, 400, "badRequest"),
        ({"new_type": "gold", "host": "x"}, 400, "badRequest"),
    ],
)
def test_a_wrong_retype_is_refused(
    site: Site, caller: Caller, volume_id: str, asked: dict[str, Any], status: int, name: str
) -> None:
    a_type(site)
    fault(retype(caller, volume_id, **asked), status, name)
    assert shown(caller, volume_id)["status"] == "available"
