"""Clusters, of which there are none."""

from flask import Flask

from tests.api.conftest import PROJECT, Caller, basic, fault


def test_there_are_no_clusters(admin: Caller) -> None:
    for path in ("/clusters", "/clusters/detail"):
        assert admin.get(path, minor=7).json == {"clusters": []}
    fault(admin.get("/clusters/c1", minor=7), 404, "itemNotFound")
    for action in ("enable", "disable"):
        body = {"name": "c1", "binary": "cinder-volume"}
        text = fault(admin.put(f"/clusters/{action}", json=body), 404, "itemNotFound")
        assert "c1" in text
        fault(admin.put(f"/clusters/{action}", json={}), 400, "badRequest")


def test_clusters_came_with_3_7(admin: Caller) -> None:
    fault(admin.get("/clusters", minor=6), 404, "itemNotFound")


def test_clusters_are_for_administrators(basic_app: Flask) -> None:
    ann = basic(basic_app, "ann", PROJECT)
    fault(ann.get("/clusters"), 403, "forbidden")
    fault(ann.get("/clusters/c1"), 403, "forbidden")
