"""A volume's metadata as a resource."""

from typing import Any

import pytest

from tests.api.conftest import Caller, fault, volume


@pytest.fixture
def path(admin: Caller) -> str:
    return f"/volumes/{volume(meta={'a': '1', 'b': '2'})}/metadata"


def current(admin: Caller, path: str) -> dict[str, str]:
    return dict(admin.get(path).get_json()["metadata"])


def test_show(admin: Caller, path: str) -> None:
    assert admin.get(path).get_json() == {"metadata": {"a": "1", "b": "2"}}
    assert admin.get(f"{path}/a").get_json() == {"meta": {"a": "1"}}


def test_post_adds_and_put_replaces(admin: Caller, path: str) -> None:
    added = admin.post(path, json={"metadata": {"b": "3", "c d": "é"}})
    assert (added.status_code, added.get_json()["metadata"]) == (
        200,
        {"a": "1", "b": "3", "c d": "é"},
    )
    replaced = admin.put(path, json={"metadata": {"x": ""}})
    assert replaced.get_json() == {"metadata": {"x": ""}}
    assert current(admin, path) == {"x": ""}


def test_one_pair_is_set_and_removed(admin: Caller, path: str) -> None:
    assert admin.put(f"{path}/c", json={"meta": {"c": "3"}}).get_json() == {"meta": {"c": "3"}}
    removed = admin.delete(f"{path}/a")
    assert (removed.status_code, removed.data) == (200, b"")
    assert current(admin, path) == {"b": "2", "c": "3"}


def test_a_key_that_is_not_there_is_not_found(admin: Caller, path: str) -> None:
    fault(admin.get(f"{path}/z"), 404, "itemNotFound")
    fault(admin.delete(f"{path}/z"), 404, "itemNotFound")


@pytest.mark.parametrize(
    "meta", [{"b": "x"}, {"c": "1", "d": "2"}, {}, {"c": 1}, {"c": "x" * 256}, None]
)
def test_one_pair_must_be_that_of_the_url(admin: Caller, path: str, meta: Any) -> None:
    fault(admin.put(f"{path}/c", json={"meta": meta}), 400, "badRequest")
    assert current(admin, path) == {"a": "1", "b": "2"}


@pytest.mark.parametrize("body", [{}, {"metadata": None}, {"metadata": {"a": 1}}, {"meta": {}}])
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_what_is_no_metadata_is_refused(
    admin: Caller, path: str, method: str, body: dict[str, Any]
) -> None:
    fault(admin.request(method, path, json=body), 400, "badRequest")
    assert current(admin, path) == {"a": "1", "b": "2"}


def test_an_etag_guards_a_read_and_write_back(admin: Caller, path: str) -> None:
    etag = admin.get(path).headers["ETag"]
    body = {"metadata": {"a": "1"}}
    assert admin.put(path, json=body, headers={"If-Match": etag}).status_code == 200
    fault(admin.put(path, json=body, headers={"If-Match": etag}), 412, "computeFault")
    assert "ETag" not in admin.get(path, minor=14).headers


def test_maintenance_keeps_the_metadata_as_it_is(admin: Caller) -> None:
    path = f"/volumes/{volume(status='maintenance')}/metadata"
    fault(admin.post(path, json={"metadata": {"a": "b"}}), 400, "badRequest")
