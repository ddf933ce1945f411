import pytest

from scheduler.filters.availability_zone import AvailabilityZoneFilter
from tests.scheduler.make import pool, reason, request


@pytest.mark.parametrize(
    ("asked", "found", "expected"),
    [
        (None, "nova", None),
        ("", "nova", None),
        ("nova", "nova", None),
        ("Nova", "nova", "in zone nova, asked for Nova"),
        ("east", "nova", "in zone nova, asked for east"),
    ],
)
def test_availability_zone(asked: str | None, found: str, expected: str | None) -> None:
    rejection = AvailabilityZoneFilter().passes(
        pool(availability_zone=found), request(availability_zone=asked)
    )
    assert reason(rejection) == expected
