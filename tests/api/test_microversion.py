"""Negotiation of the API's version."""

import pytest

from api.errors import ApiError
from api.microversion import negotiate
from tests.api.conftest import Caller, fault


@pytest.mark.parametrize(
    ("header", "version"),
    [
        (None, (3, 0)),
        ("", (3, 0)),
        ("volume 3.0", (3, 0)),
        ("volume 3.71", (3, 71)),
        ("volume latest", (3, 71)),
        ("compute 2.90, volume 3.50", (3, 50)),
        ("compute 2.90", (3, 0)),
        ("Volume 3.8", (3, 8)),
    ],
)
def test_the_version_asked_for(header: str | None, version: tuple[int, int]) -> None:
    assert negotiate(header) == version


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("volume 3.72", 406),
        ("volume 2.9", 406),
        ("volume 4.0", 406),
        ("volume 3", 400),
        ("volume 3.01", 400),
        ("volume", 400),
        ("volume three", 400),
        ("volume 3.1 3.2", 400),
    ],
)
def test_versions_that_are_refused(header: str, status: int) -> None:
    with pytest.raises(ApiError) as refusal:
        negotiate(header)
    assert refusal.value.status == status


def test_a_response_says_which_version_it_speaks(admin: Caller) -> None:
    response = admin.get("/volumes", minor=12)
    assert response.headers["OpenStack-API-Version"] == "volume 3.12"
    assert "OpenStack-API-Version" in response.headers["Vary"]


def test_outside_the_range_is_406_with_the_range(admin: Caller) -> None:
    message = fault(admin.get("/volumes", minor=99), 406, "computeFault")
    assert "3.0" in message
    assert "3.71" in message
