"""QoS specs."""

from typing import Any

import pytest
from flask import Flask

from db.models import new_id
from tests.api.conftest import PROJECT, Caller, basic, fault
from tests.api.test_volume_types import create as create_type


def create(caller: Caller, name: str, **fields: Any) -> str:
    response = caller.post("/qos-specs", json={"qos_specs": {"name": name, **fields}})
    assert response.status_code == 200, response.text
    assert response.json is not None
    return str(response.json["qos_specs"]["id"])


def shown(caller: Caller, qos_id: str) -> dict[str, Any]:
    response = caller.get(f"/qos-specs/{qos_id}")
    assert response.status_code == 200, response.text
    assert response.json is not None
    return dict(response.json["qos_specs"])


def types_of(caller: Caller, qos_id: str) -> list[str]:
    response = caller.get(f"/qos-specs/{qos_id}/associations")
    assert response.json is not None
    return [one["name"] for one in response.json["qos_associations"]]


def test_qos_specs_are_created_changed_and_deleted(admin: Caller) -> None:
    given = {"name": " gold ", "consumer": "both", "read_iops_sec": "500", "specs": "literal"}
    response = admin.post("/qos-specs", json={"qos_specs": given})
    assert response.status_code == 200
    assert response.json is not None
    made = response.json["qos_specs"]
    assert made == {
        "id": made["id"],
        "name": "gold",
        "consumer": "both",
        "specs": {"read_iops_sec": "500", "specs": "literal"},
    }
    assert response.json["links"][0]["href"].endswith(f"/qos-specs/{made['id']}")
    assert shown(admin, made["id"]) == made

    change = {"qos_specs": {"consumer": "front-end", "write_iops_sec": "9"}}
    changed = admin.put(f"/qos-specs/{made['id']}", json=change)
    assert (changed.status_code, changed.json) == (200, change)
    keys = {"keys": ["specs", "read_iops_sec"]}
    assert admin.put(f"/qos-specs/{made['id']}/delete_keys", json=keys).status_code == 202
    now = shown(admin, made["id"])
    assert (now["consumer"], now["specs"]) == ("front-end", {"write_iops_sec": "9"})
    missing = admin.put(f"/qos-specs/{made['id']}/delete_keys", json=keys)
    assert "specs" in fault(missing, 404, "itemNotFound")

    assert admin.delete(f"/qos-specs/{made['id']}").status_code == 202
    fault(admin.get(f"/qos-specs/{made['id']}"), 404, "itemNotFound")
    fault(admin.delete(f"/qos-specs/{made['id']}"), 404, "itemNotFound")


def test_a_name_is_taken_once(admin: Caller) -> None:
    create(admin, "gold")
    again = admin.post("/qos-specs", json={"qos_specs": {"name": "gold"}})
    assert "gold already exists" in fault(again, 409, "conflictingRequest")


@pytest.mark.parametrize(
    ("specs", "said"),
    [
        ({}, "name"),
        ({"name": "  "}, "empty"),
        ({"name": "g", "consumer": "nobody"}, "front-end"),
        ({"name": "g", "bad/key": "1"}, "bad/key"),
        ({"name": "g", "k": 1}, "k"),
        ({"name": "g", "read_iops_sec": "many"}, "read_iops_sec"),
        ({"name": "g", "total_bytes_sec_per_gb_min": "-1"}, "whole number"),
        ({"name": "g", "k": "x" * 256}, "255"),
        ([], "qos_specs"),
    ],
)
def test_what_are_no_qos_specs_is_refused(admin: Caller, specs: Any, said: str) -> None:
    assert said in fault(admin.post("/qos-specs", json={"qos_specs": specs}), 400, "badRequest")
    listed = admin.get("/qos-specs").json
    assert listed == {"qos_specs": []}


def test_a_change_names_no_name(admin: Caller) -> None:
    path = f"/qos-specs/{create(admin, 'gold')}"
    response = admin.put(path, json={"qos_specs": {"name": "silver"}})
    assert "name" in fault(response, 400, "badRequest")
    fault(admin.put(f"{path}/delete_keys", json={"keys": []}), 400, "badRequest")
    fault(admin.put(f"{path}/delete_keys", json={}), 400, "badRequest")


def test_types_have_one_set_of_qos_specs(admin: Caller) -> None:
    gold, silver = create(admin, "gold"), create(admin, "silver")
    fast, slow = create_type(admin, "fast"), create_type(admin, "slow")
    for type_id in (fast, slow, fast):
        path = f"/qos-specs/{gold}/associate?vol_type_id={type_id}"
        assert admin.get(path).status_code == 202
    assert types_of(admin, gold) == ["fast", "slow"]
    volume_type = admin.get(f"/types/{fast}").json
    assert volume_type is not None
    assert volume_type["volume_type"]["qos_specs_id"] == gold

    other = admin.get(f"/qos-specs/{silver}/associate?vol_type_id={fast}")
    assert gold in fault(other, 400, "badRequest")
    fault(admin.get(f"/qos-specs/{gold}/associate"), 400, "badRequest")
    fault(admin.get(f"/qos-specs/{gold}/associate?vol_type_id={new_id()}"), 404, "itemNotFound")
    fault(admin.get(f"/qos-specs/{new_id()}/associate?vol_type_id={fast}"), 404, "itemNotFound")

    assert "associated" in fault(admin.delete(f"/qos-specs/{gold}"), 400, "badRequest")
    assert admin.get(f"/qos-specs/{gold}/disassociate?vol_type_id={fast}").status_code == 202
    assert types_of(admin, gold) == ["slow"]
    assert admin.get(f"/qos-specs/{gold}/disassociate_all").status_code == 202
    assert types_of(admin, gold) == []


def test_a_forced_delete_parts_it_from_its_types(admin: Caller) -> None:
    gold, fast = create(admin, "gold"), create_type(admin, "fast")
    admin.get(f"/qos-specs/{gold}/associate?vol_type_id={fast}")
    assert admin.delete(f"/qos-specs/{gold}?force=True").status_code == 202
    volume_type = admin.get(f"/types/{fast}").json
    assert volume_type is not None
    assert volume_type["volume_type"]["qos_specs_id"] is None


def test_qos_specs_are_filtered_and_come_in_pages(admin: Caller) -> None:
    for name in ("a", "b", "c"):
        create(admin, name, consumer="both" if name == "b" else "front-end")
    first = admin.get("/qos-specs?limit=2&sort=name:asc").json
    assert first is not None
    assert [one["name"] for one in first["qos_specs"]] == ["a", "b"]
    (link,) = first["qos_specs_links"]
    second = admin.get(link["href"].split(f"/v3/{PROJECT}", 1)[1]).json
    assert second is not None
    assert [one["name"] for one in second["qos_specs"]] == ["c"]
    both = admin.get("/qos-specs?consumer=both").json
    assert both is not None
    assert [one["name"] for one in both["qos_specs"]] == ["b"]
    fault(admin.get(f"/qos-specs?marker={new_id()}"), 404, "itemNotFound")


def test_they_are_an_administrators(basic_app: Flask) -> None:
    root, ann = basic(basic_app, "root", "ops"), basic(basic_app, "ann", PROJECT)
    path = f"/qos-specs/{create(root, 'gold')}"
    for response in (
        ann.get("/qos-specs"),
        ann.get(path),
        ann.post("/qos-specs", json={"qos_specs": {"name": "mine"}}),
        ann.put(path, json={"qos_specs": {"k": "v"}}),
        ann.put(f"{path}/delete_keys", json={"keys": ["k"]}),
        ann.delete(path),
        ann.get(f"{path}/associations"),
        ann.get(f"{path}/associate?vol_type_id=x"),
        ann.get(f"{path}/disassociate?vol_type_id=x"),
        ann.get(f"{path}/disassociate_all"),
    ):
        fault(response, 403, "forbidden")
