import pytest

from scheduler.filters.service import ServiceFilter
from tests.scheduler.make import pool, reason, request


@pytest.mark.parametrize(
    ("up", "enabled", "expected"),
    [
        (True, True, None),
        (False, True, "node down"),
        (True, False, "backend disabled"),
        (False, False, "backend disabled"),
    ],
)
def test_service(up: bool, enabled: bool, expected: str | None) -> None:
    rejection = ServiceFilter().passes(pool(up=up, enabled=enabled), request())
    assert reason(rejection) == expected
    if rejection:
        assert rejection.numbers == {"up": up, "enabled": enabled}
