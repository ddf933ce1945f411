"""Pages by marker, in any order, without a gap or a repetition."""

import itertools
from datetime import datetime, timedelta

import pytest

from tests.api.conftest import PROJECT, Caller, fault, volume

START = datetime(2026, 1, 1)


@pytest.fixture
def volumes(admin: Caller) -> list[str]:
    """Eleven volumes: some made at the same moment, some without a name."""
    names = itertools.cycle(["b", None, "a"])
    return [
        volume(
            name=next(names),
            size=1 + index % 3,
            created_at=START + timedelta(seconds=index // 2),
            bootable=index % 2 == 0,
        )
        for index in range(11)
    ]


def walk(admin: Caller, query: str, limit: int) -> list[str]:
    """Follow the links from the first page to the last."""
    seen: list[str] = []
    path: str | None = f"/volumes?limit={limit}&{query}"
    while path is not None:
        body = admin.get(path).get_json()
        assert len(body["volumes"]) <= limit
        seen += [volume["id"] for volume in body["volumes"]]
        links = body.get("volumes_links", [])
        path = links[0]["href"].split(f"/v3/{PROJECT}")[1] if links else None
    return seen


@pytest.mark.parametrize(
    "query",
    [
        "",
        "sort=created_at:asc",
        "sort=name:asc",
        "sort=name:desc,size:asc",
        "sort=display_name,created_at:asc",
        "sort=size",
        "sort=bootable:asc,id:desc",
        "sort=updated_at:asc",
        "sort_key=size&sort_dir=asc",
    ],
)
@pytest.mark.parametrize("limit", [1, 3, 11, 20])
def test_the_pages_together_are_the_list(
    admin: Caller, volumes: list[str], query: str, limit: int
) -> None:
    whole = [v["id"] for v in admin.get(f"/volumes?{query}").get_json()["volumes"]]
    assert sorted(whole) == sorted(volumes)
    assert walk(admin, query, limit) == whole


def test_the_newest_come_first(admin: Caller, volumes: list[str]) -> None:
    listed = admin.get("/volumes").get_json()["volumes"]
    assert listed[0]["id"] == volumes[-1]
    assert {listed[-1]["id"], listed[-2]["id"]} == set(volumes[:2])


def test_sorting_by_a_name_that_may_be_missing(admin: Caller, volumes: list[str]) -> None:
    listed = admin.get("/volumes?sort=name:asc").get_json()["volumes"]
    assert [v["name"] for v in listed] == [None] * 4 + ["a"] * 3 + ["b"] * 4


def test_an_offset_skips(admin: Caller, volumes: list[str]) -> None:
    whole = [v["id"] for v in admin.get("/volumes").get_json()["volumes"]]
    page = admin.get("/volumes?offset=3&limit=2").get_json()
    assert [v["id"] for v in page["volumes"]] == whole[3:5]
    assert "offset" not in page["volumes_links"][0]["href"]


def test_limit_zero_is_an_empty_page_without_a_link(admin: Caller, volumes: list[str]) -> None:
    assert admin.get("/volumes?limit=0").get_json() == {"volumes": []}


def test_a_link_keeps_the_filters(admin: Caller, volumes: list[str]) -> None:
    link = admin.get("/volumes/detail?limit=1&name=a").get_json()["volumes_links"][0]["href"]
    assert "/volumes/detail?" in link
    assert "name=a" in link


@pytest.mark.parametrize(
    "query",
    [
        "limit=-1",
        "limit=x",
        "limit=1.5",
        "limit=99999999999",
        "offset=-1",
        "offset=x",
        "sort=nope",
        "sort=name:up",
        "sort=name&sort_key=name",
        "sort=",
        "sort_dir=sideways",
    ],
)
def test_what_is_no_page_is_refused(admin: Caller, query: str) -> None:
    fault(admin.get(f"/volumes?{query}"), 400, "badRequest")


def test_a_marker_that_does_not_exist_is_not_found(admin: Caller) -> None:
    fault(admin.get("/volumes?marker=nope"), 404, "itemNotFound")
