"""What flows may have left on nodes."""

from flask import Flask

from tests.api import rows
from tests.api.conftest import PROJECT, Caller, basic, fault


def test_residues_are_listed_filtered_and_paged(admin: Caller) -> None:
    rows.node("node1")
    older = rows.residue(0, pool_id=1, gib=4)
    newer = rows.residue(1, host="node2", op={}, resume=True)
    answer = admin.get("/residues").json
    assert answer is not None
    assert [one["id"] for one in answer["residues"]] == [newer, older]
    shown = answer["residues"][1]
    assert (shown["host"], shown["pool"], shown["gib"]) == ("node1", "node1@file#node1-file", 4)
    assert (shown["verb"], shown["object"], shown["reason"]) == ("destroy", "volume-1", "no answer")
    assert (answer["residues"][0]["pool"], answer["residues"][0]["resume"]) == (None, True)
    answer = admin.get("/residues?host=node1").json
    assert answer is not None
    assert [one["id"] for one in answer["residues"]] == [older]
    answer = admin.get("/residues?limit=1").json
    assert answer is not None
    assert f"marker={newer}" in answer["residues_links"][0]["href"]
    answer = admin.get(f"/residues?limit=1&marker={newer}").json
    assert answer is not None
    assert [one["id"] for one in answer["residues"]] == [older]
    fault(admin.get("/residues?marker=nowhere"), 404, "itemNotFound")


def test_residues_are_for_administrators(basic_app: Flask) -> None:
    fault(basic(basic_app, "ann", PROJECT).get("/residues"), 403, "forbidden")
