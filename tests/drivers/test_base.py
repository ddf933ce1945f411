import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.base import MAX_SIZE_GIB, PoolReport, VolumeRef
from drivers.errors import NotSupported

UUID = "0b6f7f0e-5c0e-4b51-9d0a-1f6f3c1f2a3b"

gib = st.floats(min_value=0, max_value=1e9)


@st.composite
def pools(draw: st.DrawFn, *, thin: bool | None = None) -> PoolReport:
    total = draw(gib)
    is_thin = draw(st.booleans()) if thin is None else thin
    return PoolReport(
        name="pool",
        total_gib=total,
        free_gib=draw(st.floats(min_value=0, max_value=total)),
        foreign_gib=draw(gib),
        reserved_percentage=draw(st.integers(0, 100)),
        max_over_subscription_ratio=draw(st.floats(min_value=1, max_value=100)),
        thin=is_thin,
        thick=not is_thin,
    )


@given(pools())
def test_a_limit_is_never_negative_and_never_more_than_the_ratio_allows(pool: PoolReport) -> None:
    assert 0 <= pool.limit_gib <= pool.total_gib * pool.max_over_subscription_ratio


@given(pools(thin=False))
def test_a_thick_pool_is_promised_once_whatever_its_ratio(pool: PoolReport) -> None:
    assert pool.limit_gib <= pool.total_gib


@given(pools())
def test_reserve_and_what_is_not_ours_come_off_before_the_ratio(pool: PoolReport) -> None:
    usable = pool.total_gib * (100 - pool.reserved_percentage) / 100 - pool.foreign_gib
    ratio = pool.max_over_subscription_ratio if pool.thin else 1

    assert math.isclose(pool.limit_gib, max(0, usable * ratio), rel_tol=1e-6, abs_tol=1e-3)


@given(pools(), st.floats(min_value=0, max_value=1e9))
def test_free_space_does_not_enter_the_limit(pool: PoolReport, free: float) -> None:
    other = PoolReport(
        pool.name,
        pool.total_gib,
        free,
        pool.foreign_gib,
        pool.reserved_percentage,
        pool.max_over_subscription_ratio,
        pool.thin,
        pool.thick,
    )

    assert other.limit_gib == pool.limit_gib


def test_a_limit_worked_out_by_hand() -> None:
    pool = PoolReport("p", 100.0, 10.0, 20.0, 5, 2.0, thin=True, thick=False)

    assert pool.limit_gib == (100 - 5 - 20) * 2


@pytest.mark.parametrize("name", [f"volume-{UUID}", f"volume-{UUID}.1", f"volume-{UUID}.999999999"])
def test_names_of_volumes_are_accepted(name: str) -> None:
    assert VolumeRef(name, UUID, 1, "pool").object_name == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "volume-",
        UUID,
        f"volume-{UUID.upper()}",
        f"volume-{UUID}.0",
        f"volume-{UUID}.01",
        f"volume-{UUID}.-1",
        f"volume-{UUID}.1000000000",
        f"volume-{UUID}\n",
        f"volume-{UUID}/x",
        f"../volume-{UUID}",
        f"/volume-{UUID}",
        f".making-volume-{UUID}",
        f"snapshot-{UUID}",
        f"volume-{UUID}\0",
        "volume-٠b6f7f0e-5c0e-4b51-9d0a-1f6f3c1f2a3b",
        "../../etc/passwd",
    ],
)
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(NotSupported) as refused:
        VolumeRef(name, UUID, 1, "pool")

    assert refused.value.left == "clean"


@pytest.mark.parametrize("size", [0, -1, MAX_SIZE_GIB + 1, 10**12, True, 1.5, "1", None])
def test_other_sizes_are_refused(size: int) -> None:
    with pytest.raises(NotSupported):
        VolumeRef(f"volume-{UUID}", UUID, size, "pool")


def test_the_largest_size_is_accepted() -> None:
    assert VolumeRef(f"volume-{UUID}", UUID, MAX_SIZE_GIB, "pool").size_gib * 2**30 < 2**63
