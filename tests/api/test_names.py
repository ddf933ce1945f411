"""Names in any script come back as they went in, whatever it is that has one."""

from pathlib import Path
from typing import Any

import pytest

from db.models import DEFAULT_TYPE_NAME
from tests.api.conftest import PROJECT, Caller
from tests.api.working import working

NAMES = [
    "Überraschung",
    "ボリューム",
    "حجم التخزين",
    "\u202eright to left\u202c",
    "🧱💨 👩‍🔧",
    "e\u0301 is not é",
    "كِتَاب",
    "<b>&amp;'\"\\</b>%s{}",
    "𝔅" * 255,
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_comes_back_as_it_went_in(
    tmp_path: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with working(tmp_path, environ, monkeypatch) as (_, app):
        caller = Caller(app.test_client(), PROJECT, {"X-Auth-Token": f"alice:{PROJECT}"})

        def made(path: str, key: str, **given: Any) -> str:
            """Make one, rename nothing, and look at it in the list too; returns its id."""
            body = {key: {"name": name, **given}}
            response = caller.post(path, json=body)
            assert response.status_code in (200, 202), response.text
            shown = next(iter(response.get_json().values()))  # before its links, if it has any
            assert shown["name"] == name
            again = caller.get(f"{path}/{shown['id']}").get_json()
            assert again[next(iter(again))]["name"] == name
            (listed, *_) = caller.get(path).get_json().values()
            assert name in [one["name"] for one in listed]
            return str(shown["id"])

        volume_id = made("/volumes", "volume", size=1, metadata={"k": name}, description=name)
        shown = caller.get(f"/volumes/{volume_id}").get_json()["volume"]
        assert (shown["metadata"], shown["description"]) == ({"k": name}, name)
        (found,) = caller.get("/volumes", query_string={"name": name}).get_json()["volumes"]
        assert found["id"] == volume_id
        made("/snapshots", "snapshot", volume_id=volume_id, metadata={"k": name})
        kind = made("/types", "volume_type", description=name)
        assert caller.get(f"/types/{kind}").get_json()["volume_type"]["description"] == name
        made("/qos-specs", "qos_specs", consumer="both")
        group_type = made("/group_types", "group_type", description=name)
        group = made("/groups", "group", group_type=group_type, volume_types=[DEFAULT_TYPE_NAME])
        made("/volumes", "volume", size=1, group_id=group, volume_type=DEFAULT_TYPE_NAME)
        made("/group_snapshots", "group_snapshot", group_id=group)
        other = caller.post("/volumes", json={"volume": {"size": 1}}).get_json()["volume"]["id"]
        made("/volume-transfers", "transfer", volume_id=other)
