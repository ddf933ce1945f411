"""Availability zones."""

import pytest
from flask import Flask

from tests.api import rows
from tests.api.conftest import PROJECT, Caller, basic
from tests.api.test_services import BACKEND


@pytest.fixture
def site(app: Flask) -> None:
    """node1 answers; node2 has been silent for too long."""
    rows.two_nodes()


@pytest.mark.usefixtures("site")
def test_a_zone_is_available_while_a_backend_in_it_takes_volumes(admin: Caller) -> None:
    def zones() -> dict[str, bool]:
        answer = admin.get("/os-availability-zone").json
        assert answer is not None
        return {
            zone["zoneName"]: zone["zoneState"]["available"]
            for zone in answer["availabilityZoneInfo"]
        }

    assert zones() == {"east": True, "nova": True}
    admin.put("/os-services/disable", json=BACKEND)
    assert zones() == {"east": True, "nova": False}


def test_an_empty_site_has_no_zones(admin: Caller) -> None:
    assert admin.get("/os-availability-zone").json == {"availabilityZoneInfo": []}


def test_zones_are_for_users_too(basic_app: Flask) -> None:
    rows.node("node1")
    answer = basic(basic_app, "ann", PROJECT).get("/os-availability-zone").json
    assert answer == {
        "availabilityZoneInfo": [{"zoneName": "nova", "zoneState": {"available": True}}]
    }
