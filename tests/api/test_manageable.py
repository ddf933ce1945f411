"""What is on the storage already: listed, taken over, and given up again."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from tests.api.conftest import PROJECT, Caller, basic, fault
from tests.api.site import Site, begin, standing_site

HOST = "node1@fake"


@pytest.fixture(scope="module")
def lasting_site(empty_database: Path) -> Iterator[Site]:
    with standing_site(empty_database) as site:
        yield site


@pytest.fixture
def site(lasting_site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    site = begin(lasting_site, monkeypatch)
    for name, size in (("lun-1", 2), ("lun-2", 5), ("backup of März", 1)):
        site.world.nodes["node1"].store.put(name, "fake", size, None)
    return site


@pytest.fixture
def caller(site: Site) -> Caller:
    return site.caller()


def stored(site: Site) -> dict[str, int]:
    return dict(site.world.nodes["node1"].store.items())


def manage(caller: Caller, source: str = "lun-1", **asked: Any) -> TestResponse:
    body = {"host": HOST, "ref": {"source-name": source}} | asked
    return caller.post("/manageable_volumes", json={"volume": body})


def managed(caller: Caller, source: str = "lun-1", **asked: Any) -> str:
    response = manage(caller, source, **asked)
    assert response.status_code == 202, response.text
    assert response.json is not None
    return str(response.json["volume"]["id"])


def shown(caller: Caller, path: str) -> dict[str, Any]:
    response = caller.get(path)
    assert response.json is not None, response.text
    (thing,) = response.json.values()
    return dict(thing)


def in_use(caller: Caller) -> dict[str, int]:
    """What quotas count for the project, without what is 0."""
    usage = shown(caller, f"/os-quota-sets/{PROJECT}?usage=true")
    return {
        name: one["in_use"]
        for name, one in usage.items()
        if isinstance(one, dict) and one["in_use"]
    }


def action(caller: Caller, path: str, name: str) -> TestResponse:
    return caller.post(f"{path}/action", json={name: None})


def listed(caller: Caller, query: str = "", path: str = "/manageable_volumes") -> Any:
    response = caller.get(f"{path}?host={HOST}{query}")
    assert response.status_code == 200, response.text
    assert response.json is not None
    (found,) = response.json.values()
    return found


def names(found: list[dict[str, Any]]) -> list[str]:
    return [one["reference"]["source-name"] for one in found]


# -- lists -----------------------------------------------------------------------------------------


def test_what_could_be_managed_is_listed(caller: Caller) -> None:
    assert listed(caller)[0] == {
        "reference": {"source-name": "lun-2"},
        "size": 5,
        "safe_to_manage": True,
    }
    assert listed(caller, path="/os-volume-manage") == listed(caller)


def test_what_is_managed_is_listed_with_its_id(caller: Caller) -> None:
    volume_id = managed(caller)
    (ours,) = [one for one in listed(caller, path="/manageable_volumes/detail") if one["cinder_id"]]
    assert ours == {
        "reference": {"source-name": f"volume-{volume_id}"},
        "size": 2,
        "safe_to_manage": False,
        "reason_not_safe": "already managed",
        "cinder_id": volume_id,
        "extra_info": None,
    }


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["lun-2", "lun-1", "backup of März"]),
        ("&sort=size:asc", ["backup of März", "lun-1", "lun-2"]),
        ("&sort=reference:asc&limit=2", ["backup of März", "lun-1"]),
        ("&sort=reference:asc&offset=2", ["lun-2"]),
        ("&sort=size:asc&marker={'source-name': 'lun-1'}", ["lun-2"]),
    ],
)
def test_a_list_is_sorted_and_paged(caller: Caller, query: str, expected: list[str]) -> None:
    assert names(listed(caller, query)) == expected


@pytest.mark.parametrize(
    ("query", "status", "name"),
    [
        ("", 400, "badRequest"),
        ("?host=node1@fake&cluster=c", 400, "badRequest"),
        ("?cluster=c", 404, "itemNotFound"),
        ("?host=nowhere@fake", 404, "itemNotFound"),
        ("?host=node1@fake&sort=name", 400, "badRequest"),
        ("?host=node1@fake&marker=lun-9", 400, "badRequest"),
    ],
)
def test_a_wrong_list_is_refused(caller: Caller, query: str, status: int, name: str) -> None:
    fault(caller.get(f"/manageable_volumes{query}"), status, name)


def test_the_names_of_3_8_came_with_3_8(caller: Caller) -> None:
    for what in ("volumes", "snapshots"):
        fault(caller.get(f"/manageable_{what}?host={HOST}", minor=7), 404, "itemNotFound")
        assert caller.get(f"/manageable_{what}?host={HOST}", minor=8).status_code == 200


def test_a_node_that_does_not_answer_is_no_empty_list(site: Site, caller: Caller) -> None:
    site.world.nodes["node1"].fail(manageable=[{"fault": "fail_before", "times": -1}])
    assert caller.get(f"/manageable_volumes?host={HOST}").status_code == 500
    with site.world.writing() as tx:
        tx.connection().exec_driver_sql("UPDATE backends SET up = 0 WHERE name = 'node1@fake'")
    fault(caller.get(f"/manageable_volumes?host={HOST}"), 503, "serviceUnavailable")


# -- volumes ---------------------------------------------------------------------------------------


def test_a_volume_is_taken_over_with_what_is_in_it(site: Site, caller: Caller) -> None:
    before = in_use(caller)
    asked: dict[str, Any] = {"name": "März 📦", "metadata": {"k": "v"}, "bootable": True}
    volume_id = managed(caller, **asked)
    volume = shown(caller, f"/volumes/{volume_id}")
    assert (volume["status"], volume["size"], volume["name"]) == ("available", 2, "März 📦")
    assert (volume["metadata"], volume["bootable"]) == ({"k": "v"}, "true")
    assert volume["os-vol-host-attr:host"] == "node1@fake#fake"
    assert f"volume-{volume_id}" in stored(site)
    assert "lun-1" not in stored(site)
    after = in_use(caller)
    assert after["volumes"] - before.get("volumes", 0) == 1
    assert after["gigabytes"] - before.get("gigabytes", 0) == 2
    site.world.check()


def test_it_is_on_its_way_as_creating_and_at_fault_as_error(site: Site, caller: Caller) -> None:
    site.stop = "volume.manage.adopt"
    volume_id = managed(caller)
    assert shown(caller, f"/volumes/{volume_id}")["status"] == "creating"
    site.go_on()
    assert shown(caller, f"/volumes/{volume_id}")["status"] == "available"

    volume_id = managed(caller, "lun-9")
    site.world.settle()
    assert shown(caller, f"/volumes/{volume_id}")["status"] == "error"
    site.world.check()


def test_over_quota_what_is_there_stays_as_it_is(site: Site, caller: Caller) -> None:
    caller.put(f"/os-quota-sets/{PROJECT}", json={"quota_set": {"gigabytes": 4}})
    volume_id = managed(caller, "lun-2")
    site.world.settle()
    assert shown(caller, f"/volumes/{volume_id}")["status"] == "error"
    assert stored(site)["lun-2"] == 5
    assert in_use(caller) == {}
    assert caller.delete(f"/volumes/{volume_id}").status_code == 202
    assert stored(site)["lun-2"] == 5
    site.world.check()

    caller.put(f"/os-quota-sets/{PROJECT}", json={"quota_set": {"volumes": 0}})
    fault(manage(caller), 413, "overLimit")
    site.world.check()


@pytest.mark.parametrize(
    ("change", "status", "name"),
    [
        ({"host": None}, 400, "badRequest"),
        ({"host": None, "cluster": "c"}, 404, "itemNotFound"),
        ({"host": "nowhere@fake#fake"}, 404, "itemNotFound"),
        ({"ref": {}}, 400, "badRequest"),
        ({"ref": {"name": "lun-1"}}, 400, "badRequest"),
        ({"ref": {"source-name": ""}}, 400, "badRequest"),
        ({"ref": "lun-1"}, 400, "badRequest"),
        ({"volume_type": "none such"}, 404, "itemNotFound"),
        ({"size": 1}, 400, "badRequest"),
    ],
)
def test_a_wrong_request_manages_nothing(
    site: Site, caller: Caller, change: dict[str, Any], status: int, name: str
) -> None:
    before = stored(site)
    fault(manage(caller, **change), status, name)
    assert stored(site) == before


def test_a_pool_that_lacks_what_the_type_asks_for_takes_nothing_over(caller: Caller) -> None:
    asked = {"name": "fast", "extra_specs": {"media": "ssd"}}
    caller.post("/types", json={"volume_type": asked})
    text = fault(manage(caller, volume_type="fast"), 400, "badRequest")
    assert "media" in text


def test_a_volume_is_given_up_and_stays_where_it_is(site: Site, caller: Caller) -> None:
    volume_id = managed(caller)
    assert action(caller, f"/volumes/{volume_id}", "os-unmanage").status_code == 202
    fault(caller.get(f"/volumes/{volume_id}"), 404, "itemNotFound")
    assert stored(site)[f"unmanaged-volume-{volume_id}"] == 2
    assert in_use(caller) == {}
    site.world.check()
    again = managed(caller, f"unmanaged-volume-{volume_id}")
    assert shown(caller, f"/volumes/{again}")["status"] == "available"


def test_what_others_depend_on_is_not_given_up(caller: Caller) -> None:
    volume_id = managed(caller)
    caller.post("/snapshots", json={"snapshot": {"volume_id": volume_id}})
    text = fault(action(caller, f"/volumes/{volume_id}", "os-unmanage"), 400, "badRequest")
    assert "snapshots" in text
    assert shown(caller, f"/volumes/{volume_id}")["status"] == "available"


# -- snapshots -------------------------------------------------------------------------------------


def manage_snapshot(caller: Caller, volume_id: str, name: str = "lun-2") -> TestResponse:
    asked = {"volume_id": volume_id, "ref": {"source-name": name}, "name": "old"}
    return caller.post("/manageable_snapshots", json={"snapshot": asked})


def test_a_snapshot_is_taken_over_and_given_up(site: Site, caller: Caller) -> None:
    volume_id = managed(caller)
    response = manage_snapshot(caller, volume_id)
    assert response.status_code == 202, response.text
    assert response.json is not None
    snapshot_id = response.json["snapshot"]["id"]
    snapshot = shown(caller, f"/snapshots/{snapshot_id}")
    assert (snapshot["status"], snapshot["size"], snapshot["name"]) == ("available", 5, "old")
    assert f"snapshot-{snapshot_id}" in stored(site)
    assert in_use(caller)["snapshots"] == 1
    (one,) = [
        one
        for one in listed(caller, path="/manageable_snapshots/detail")
        if one["cinder_id"] == snapshot_id
    ]
    assert one["safe_to_manage"] is False
    site.world.check()

    assert action(caller, f"/snapshots/{snapshot_id}", "os-unmanage").status_code == 202
    fault(caller.get(f"/snapshots/{snapshot_id}"), 404, "itemNotFound")
    assert stored(site)[f"unmanaged-snapshot-{snapshot_id}"] == 5
    assert "snapshots" not in in_use(caller)
    site.world.check()


def test_a_snapshot_that_is_not_there_leaves_nothing_to_destroy(site: Site, caller: Caller) -> None:
    volume_id = managed(caller)
    response = manage_snapshot(caller, volume_id, "lun-9")
    assert response.json is not None
    path = f"/snapshots/{response.json['snapshot']['id']}"
    site.world.settle()
    assert shown(caller, path)["status"] == "error_managing"
    assert caller.delete(path).status_code == 202
    fault(caller.get(path), 404, "itemNotFound")
    site.world.check()


def test_a_snapshot_needs_its_volume(caller: Caller) -> None:
    missing = "11111111-1111-4111-8111-111111111111"
    fault(manage_snapshot(caller, missing), 404, "itemNotFound")


# -- who -------------------------------------------------------------------------------------------


def test_managing_is_for_administrators(basic_app: Flask) -> None:
    ann = basic(basic_app, "ann", PROJECT)
    for what in ("volumes", "snapshots"):
        fault(ann.get(f"/manageable_{what}?host={HOST}"), 403, "forbidden")
    fault(manage(ann), 403, "forbidden")
