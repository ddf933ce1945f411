"""The version documents."""

from flask import Flask


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
