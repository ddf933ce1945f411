"""The version documents and the list of extensions."""

from flask import Flask

from tests.api.conftest import PROJECT, Caller, basic, fault


def test_the_root_lists_versions_for_anybody(basic_app: Flask) -> None:
    response = basic_app.test_client().get("/")
    assert response.status_code == 300
    assert response.json is not None
    (version,) = response.json["versions"]
    assert version["id"] == "v3.0"
    assert version["status"] == "CURRENT"
    assert (version["min_version"], version["version"]) == ("3.0", "3.71")
    assert {"rel": "self", "href": "http://localhost/v3/"} in version["links"]


def test_v3_shows_its_range_with_and_without_a_slash(basic_app: Flask) -> None:
    client = basic_app.test_client()
    root = client.get("/").json
    for path in ("/v3", "/v3/"):
        response = client.get(path)
        assert (response.status_code, response.json) == (200, root)


def test_extensions_are_listed_and_shown(admin: Caller, basic_app: Flask) -> None:
    listed = admin.get("/extensions").json
    assert listed is not None
    aliases = {one["alias"] for one in listed["extensions"]}
    assert {"os-quota-sets", "os-services", "scheduler-stats"} <= aliases
    shown = basic(basic_app, "ann", PROJECT).get("/extensions/os-services").json
    assert shown is not None
    assert shown["extension"] in listed["extensions"]
    fault(admin.get("/extensions/os-nothing"), 404, "itemNotFound")
