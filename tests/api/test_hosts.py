"""Hosts and the volumes on them."""

import pytest
from flask import Flask

from tests.api import rows
from tests.api.conftest import PROJECT, Caller, basic, fault, volume


@pytest.fixture
def site(app: Flask) -> None:
    """node1 answers; node2 has been silent for too long."""
    rows.two_nodes()


@pytest.mark.usefixtures("site")
def test_a_host_counts_its_volumes_by_project(admin: Caller) -> None:
    listed = admin.get("/os-hosts").json
    assert listed is not None
    assert [(one["host_name"], one["service-status"]) for one in listed["hosts"]] == [
        ("scheduler", "available"),
        ("node1@file", "available"),
        ("node2@file", "unavailable"),
    ]
    volume(pool_id=1, size=2)
    volume(pool_id=1, size=3, project_id="other")
    volume(pool_id=2, size=9)
    shown = admin.get("/os-hosts/node1@file").json
    assert shown is not None
    assert [
        (
            one["resource"]["project"],
            one["resource"]["volume_count"],
            one["resource"]["total_volume_gb"],
        )
        for one in shown["host"]
    ] == [("(total)", "2", "5"), (PROJECT, "1", "2"), ("other", "1", "3")]
    fault(admin.get("/os-hosts/node9@file"), 404, "itemNotFound")


def test_hosts_are_for_administrators(basic_app: Flask) -> None:
    ann = basic(basic_app, "ann", PROJECT)
    for path in ("/os-hosts", "/os-hosts/node1@file"):
        fault(ann.get(path), 403, "forbidden")
