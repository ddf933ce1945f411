from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.filters.capacity import CapacityFilter
from tests.scheduler.make import pool, reason, request

THICK = {"provisioning:type": "thick"}


@pytest.mark.parametrize(
    ("limit", "taken", "size", "expected"),
    [
        (10.0, 5, 5, None),
        (10.0, 5, 6, "6 GiB asked, 5 of 10 GiB free"),
        (9.999, 5, 5, "5 GiB asked, 4.99 of 9.99 GiB free"),
        (10.5, 8, 3, "3 GiB asked, 2.5 of 10.5 GiB free"),
        (0.0, 0, 1, "1 GiB asked, 0 of 0 GiB free"),
        (5.0, 9, 1, "1 GiB asked, -4 of 5 GiB free"),
        (float("inf"), 10**9, 10**6, None),
    ],
)
def test_room(limit: float, taken: int, size: int, expected: str | None) -> None:
    rejection = CapacityFilter().passes(pool(limit_gib=limit, taken_gib=taken), request(size))
    assert reason(rejection) == expected


def test_a_refusal_carries_the_numbers_it_was_made_from() -> None:
    state = pool(
        limit_gib=180.0,
        taken_gib=178,
        total_gib=100.0,
        reserved_percentage=10,
        max_over_subscription_ratio=2.0,
    )
    rejection = CapacityFilter().passes(state, request(3))
    assert rejection is not None
    assert rejection.numbers == {
        "asked_gib": 3,
        "free_gib": 2.0,
        "limit_gib": 180.0,
        "taken_gib": 178,
        "total_gib": 100.0,
        "reserved_percentage": 10,
        "max_over_subscription_ratio": 2.0,
        "provisioning": None,
    }


@pytest.mark.parametrize(
    ("thin", "thick", "specs", "expected"),
    [
        (True, False, {}, None),
        (False, True, {}, None),
        (True, False, THICK, "makes no thick volumes"),
        (True, False, {"provisioning:type": "thin"}, None),
        (False, True, {"provisioning:type": " Thin"}, "makes no thin volumes"),
        (True, False, {"provisioning:type": "compressed"}, None),
        (
            True,
            False,
            {"capabilities:thick_provisioning_support": "<is> True"},
            "makes no thick volumes",
        ),
        (False, True, {"thin_provisioning_support": "True"}, "makes no thin volumes"),
        (True, False, {"capabilities:thick_provisioning_support": "<is> False"}, None),
    ],
)
def test_kind(thin: bool, thick: bool, specs: dict[str, str], expected: str | None) -> None:
    state = pool(thin=thin, thick=thick)
    assert reason(CapacityFilter().passes(state, request(extra_specs=specs))) == expected


@pytest.mark.parametrize(
    ("facts", "specs", "most"),
    [
        # 100 GiB usable, promised ten times over: the ratio is for thin volumes only.
        ({"thin": True, "thick": True}, {}, 980),
        ({"thin": True, "thick": True}, {"provisioning:type": "thin"}, 980),
        ({"thin": True, "thick": True}, THICK, 80),
        # A ratio below one is none at all, and does not raise the limit.
        ({"thin": True, "thick": True, "max_over_subscription_ratio": 0.5}, THICK, 980),
        # A thick-only pool reports a limit without the ratio, which stays as it is.
        ({"thin": False, "thick": True, "limit_gib": 100.0}, THICK, 80),
    ],
)
def test_over_subscription(facts: dict[str, Any], specs: dict[str, str], most: int) -> None:
    state = pool(**({"limit_gib": 1000.0, "max_over_subscription_ratio": 10.0} | facts))
    assert CapacityFilter().passes(state, request(most, extra_specs=specs)) is None
    assert CapacityFilter().passes(state, request(most + 1, extra_specs=specs)) is not None


@given(
    limit=st.floats(0, 1e6),
    taken=st.integers(0, 10**6),
    size=st.integers(1, 10**6),
    ratio=st.floats(0.1, 50),
    thick=st.booleans(),
)
def test_never_beyond_the_limit(
    limit: float, taken: int, size: int, ratio: float, thick: bool
) -> None:
    state = pool(
        limit_gib=limit, taken_gib=taken, max_over_subscription_ratio=ratio, thin=True, thick=True
    )
    rejection = CapacityFilter().passes(state, request(size, extra_specs=THICK if thick else {}))
    bound = limit / ratio if thick and ratio > 1 else limit
    assert (rejection is None) == (taken + size <= bound)
