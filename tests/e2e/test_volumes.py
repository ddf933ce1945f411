"""A volume's life over HTTP, on real storage and both databases."""

import uuid

import pytest

from tests.e2e.conftest import Site
from tests.processes import wait_for

STEPS = ["extract", "quota_reserve", "db_entry", "quota_commit", "schedule", "create", "finish"]
GIB = 1 << 30


def test_create_list_show_extend_delete(site: Site, project: str) -> None:
    stack = site.stack
    body = {"volume": {"size": 1, "name": "first", "metadata": {"use": "test"}}}
    answer = stack.call("POST", "/volumes", body, project)
    assert answer.status_code == 202
    made = answer.json()["volume"]
    assert site.truth.usage(project, "volumes")[0] == 1
    stack.wait_for_status(made["id"], "available", project)

    shown = stack.volume(made["id"], project)
    assert shown is not None
    assert (shown["name"], shown["size"], shown["metadata"]) == ("first", 1, {"use": "test"})
    assert site.file_of(shown).stat().st_size == GIB
    listed = stack.call("GET", "/volumes/detail", project=project).json()["volumes"]
    assert [one["id"] for one in listed] == [made["id"]]

    grow = {"os-extend": {"new_size": 3}}
    assert stack.call("POST", f"/volumes/{made['id']}/action", grow, project).status_code == 202
    wait_for(lambda: (stack.volume(made["id"], project) or {}).get("size") == 3)
    stack.wait_for_status(made["id"], "available", project)
    assert site.file_of(shown).stat().st_size == 3 * GIB
    assert site.truth.usage(project, "gigabytes") == (3, 0)

    assert stack.call("DELETE", f"/volumes/{made['id']}", project=project).status_code == 202
    stack.wait_for_status(made["id"], "gone", project)
    assert not site.file_of(shown).exists()
    site.truth.settled()
    assert site.truth.usage(project, "gigabytes") == (0, 0)


def test_the_journal_has_the_seven_steps_and_the_node(site: Site, project: str) -> None:
    volume = site.stack.create(project)
    site.stack.wait_for_status(volume, "available", project)
    shown = site.stack.volume(volume, project)
    assert shown is not None
    host = shown["os-vol-host-attr:host"].partition("@")[0]

    (flow,) = site.stack.flows(volume, project)

    assert flow["state"] == "succeeded"
    assert [step["step"] for step in flow["steps"]] == STEPS
    assert {step["outcome"] for step in flow["steps"]} == {"done"}
    assert [step["node"] for step in flow["steps"] if step["step"] == "create"] == [host]


def test_many_at_once(site: Site, project: str) -> None:
    answers = site.stack.create_many(project, 10)
    assert {answer.status_code for answer in answers if answer is not None} == {202}
    site.truth.settled()
    volumes = site.truth.volumes(project)
    assert [row.status for row in volumes] == ["available"] * 10
    for row in volumes:
        assert site.stack.call("DELETE", f"/volumes/{row.id}", project=project).status_code == 202
    site.truth.settled()
    assert site.truth.volumes(project) == []


@pytest.mark.parametrize(("size", "limit", "says"), [(6, "gigabytes", "5G"), (1, "volumes", "(0)")])
def test_over_quota(site: Site, project: str, size: int, limit: str, says: str) -> None:
    allowed = {"quota_set": {"gigabytes": 5} if limit == "gigabytes" else {"volumes": 0}}
    assert site.stack.call("PUT", f"/os-quota-sets/{project}", allowed).status_code == 200

    answer = site.stack.post_volume(project, size)

    assert answer.status_code == 413
    assert "Retry-After" in answer.headers
    assert says in answer.json()["overLimit"]["message"]
    site.truth.settled()
    assert site.truth.usage(project, "gigabytes") == (0, 0)
    assert site.truth.usage(project, "volumes") == (0, 0)
    assert site.truth.volumes(project) == []


def test_of_creates_that_fit_together_only_once_one_is_refused(site: Site, project: str) -> None:
    limits = {"quota_set": {"volumes": 4}}
    assert site.stack.call("PUT", f"/os-quota-sets/{project}", limits).status_code == 200
    answers = site.stack.create_many(project, 8)
    statuses = sorted(answer.status_code for answer in answers if answer is not None)
    assert statuses == [202] * 4 + [413] * 4
    site.truth.settled()
    assert site.truth.usage(project, "volumes") == (4, 0)
    assert len(site.truth.volumes(project)) == 4


@pytest.mark.parametrize(
    ("volume", "field"),
    [
        ({"size": 0}, "size"),
        ({"size": 1.5}, "size"),
        ({"size": 10**12}, "size"),
        ({"size": 1, "name": "n" * 256}, "name"),
        ({"size": 1, "name": "a\0b"}, "name"),
    ],
)
def test_what_is_refused_makes_nothing(
    site: Site, project: str, volume: dict[str, object], field: str
) -> None:
    answer = site.stack.call("POST", "/volumes", {"volume": volume}, project)
    assert answer.status_code == 400
    assert field in answer.json()["badRequest"]["message"]
    assert site.truth.volumes(project) == []


def test_other_projects_and_unknown_volumes_are_not_found(site: Site, project: str) -> None:
    unknown = str(uuid.uuid4())
    for path in (f"/volumes/{unknown}", "/volumes/not-a-uuid", f"/flows/{unknown}"):
        assert site.stack.call("GET", path, project=project).status_code == 404
    assert site.stack.call("DELETE", f"/volumes/{unknown}", project=project).status_code == 404


def test_a_status_that_forbids_it(site: Site, project: str) -> None:
    volume = site.stack.create(project, 2)
    site.stack.wait_for_status(volume, "available", project)
    action = f"/volumes/{volume}/action"
    smaller = site.stack.call("POST", action, {"os-extend": {"new_size": 1}}, project)
    assert smaller.status_code == 400
    reset = site.stack.call("POST", action, {"os-reset_status": {"status": "in-use"}}, project)
    assert reset.status_code == 202
    refused = site.stack.call("DELETE", f"/volumes/{volume}", project=project)
    assert refused.status_code == 400
    assert "in-use" in refused.json()["badRequest"]["message"]
    forced = site.stack.call("POST", action, {"os-force_delete": {}}, project)
    assert forced.status_code == 202
    site.stack.wait_for_status(volume, "gone", project)
    site.truth.settled()
