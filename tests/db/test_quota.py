"""Counters of quota, whatever the order in which flows come and go."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from db import quota
from db.models import (
    Group,
    Quota,
    QuotaUsage,
    Reservation,
    Snapshot,
    Volume,
    VolumeType,
    new_id,
)
from db.quota import OverQuota, volume_deltas
from tests.db.conftest import Database

LIMITS = {"volumes": 5, "gigabytes": 20}


def _volume(project: str) -> Volume:
    return Volume(id=new_id(), project_id=project, user_id="u", size=1, status="creating")


def _usage(database: Database, project: str) -> dict[str, tuple[int, int]]:
    with database.writing() as tx:
        rows = tx.scalars(select(QuotaUsage).where(QuotaUsage.project_id == project)).all()
        return {row.resource: (row.in_use, row.reserved) for row in rows}


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["reserve", "commit", "release", "give back"]),
        st.integers(0, 3),
        st.integers(1, 8),
        st.sampled_from(["a", "b"]),
    ),
    max_size=25,
)


@given(steps=STEPS)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_counters_are_the_sums_of_what_explains_them(
    sqlite_database: Database, steps: list[tuple[str, int, int, str]]
) -> None:
    """Any step of any flow, also twice and in any order, moves counter and reason together."""
    database, reserved, charged = sqlite_database, dict[Any, int](), dict[Any, int]()
    database.empty()
    for flow in {f"{project}-{slot}" for _, slot, _, project in steps}:
        database.flow(flow)
    for action, slot, gib, project in steps:
        flow = f"{project}-{slot}"
        with database.writing() as tx:
            match action:
                case "reserve" if flow not in reserved:
                    mine = sum(n for f, n in (reserved | charged).items() if f[0] == project)
                    others = [f for f in (*reserved, *charged) if f[0] == project]
                    fits = mine + gib <= 20 and len(others) < 5
                    if flow in charged:
                        continue
                    deltas = volume_deltas(1, gib, "t")
                    if fits:
                        quota.reserve(tx, flow, project, deltas, LIMITS, gib)
                        reserved[flow] = gib
                    else:
                        with pytest.raises(OverQuota):
                            quota.reserve(tx, flow, project, deltas, LIMITS, gib)
                case "commit":
                    taken = quota.commit(tx, flow)
                    assert taken.get("gigabytes") == reserved.get(flow)
                    if flow in reserved:
                        charged[flow] = reserved.pop(flow)
                case "release":
                    quota.release(tx, flow)
                    reserved.pop(flow, None)
                case "give back" if flow in charged:
                    volume = _volume(project)
                    volume.charged_count, volume.charged_gib = 1, charged.pop(flow)
                    volume.charged_type_id = "t"
                    quota.give_back(tx, volume)
                    quota.give_back(tx, volume)  # what is given back is no longer there to give
    for project in ("a", "b"):
        in_use = [n for f, n in charged.items() if f[0] == project]
        held = [n for f, n in reserved.items() if f[0] == project]
        expected = {
            resource: (used, kept)
            for name, used, kept in (
                ("volumes", len(in_use), len(held)),
                ("gigabytes", sum(in_use), sum(held)),
            )
            for resource in (name, f"{name}_t")
        }
        found = _usage(database, project)
        assert found == (expected if found else {})
        assert found or not in_use + held


def test_a_refusal_has_the_numbers_and_reserves_nothing(database: Database) -> None:
    flow = database.flow()
    with database.writing() as tx:
        tx.add(Quota(project_id="p", resource="gigabytes", hard_limit=10))
        quota.reserve(tx, flow, "p", volume_deltas(1, 7, None), LIMITS, 7)
    with pytest.raises(OverQuota) as refusal, database.writing() as tx:
        quota.reserve(tx, flow, "p", volume_deltas(1, 4, None), LIMITS, 4)

    error = refusal.value
    assert (error.resource, error.asked) == ("gigabytes", 4)
    assert (error.usage.limit, error.usage.in_use, error.usage.reserved) == (10, 0, 7)
    assert _usage(database, "p") == {"volumes": (0, 1), "gigabytes": (0, 7)}
    with database.writing() as tx:
        assert len(tx.scalars(select(Reservation)).all()) == 2


def test_no_limit_is_minus_one(database: Database) -> None:
    flow = database.flow()
    with database.writing() as tx:
        quota.reserve(tx, flow, "p", volume_deltas(9, 900, None), {"volumes": -1}, 900)
    assert _usage(database, "p")["gigabytes"] == (0, 900)


def test_a_volume_may_be_too_large_by_itself(database: Database) -> None:
    flow = database.flow()
    limits = LIMITS | {"per_volume_gigabytes": 3}
    with pytest.raises(OverQuota, match="per_volume"), database.writing() as tx:
        quota.reserve(tx, flow, "p", volume_deltas(1, 4, None), limits, 4)


def _snapshot(volume: Volume, gib: int) -> Snapshot:
    return Snapshot(
        id=new_id(),
        project_id=volume.project_id,
        user_id="u",
        volume_id=volume.id,
        size=gib,
        status="available",
        charged_count=1,
        charged_gib=gib,
        charged_type_id=volume.charged_type_id,
    )


def test_a_volume_with_its_snapshots_is_charged_to_another_project(database: Database) -> None:
    with database.writing() as tx:
        type_id = tx.scalars(select(VolumeType.id)).first()
        volume = _volume("p")
        volume.charged_count, volume.charged_gib, volume.charged_type_id = 1, 4, type_id
        tx.add(volume)
        tx.flush()  # before what refers to it
        rows: list[Volume | Snapshot] = [volume, _snapshot(volume, 4)]
        tx.add_all(rows)
        tx.flush()
        for (project, resource), amount in quota.charged(tx).items():
            tx.add(QuotaUsage(project_id=project, resource=resource, in_use=amount, reserved=0))
        tx.add(Quota(project_id="full", resource=f"snapshots_{type_id}", hard_limit=0))
    with pytest.raises(OverQuota) as refusal, database.writing() as tx:
        quota.move(tx, rows, "p", "full", LIMITS)
    assert refusal.value.resource == "snapshots___DEFAULT__"
    assert _usage(database, "full") == {}

    with database.writing() as tx:
        rows = [tx.get_one(Volume, volume.id), tx.scalars(select(Snapshot)).one()]
        quota.move(tx, rows, "p", "a", LIMITS)
        for row in rows:
            row.project_id = "a"
    expected = {"volumes": 1, "gigabytes": 8, "snapshots": 1}
    assert {k: v for k, v in _usage(database, "a").items() if "_" not in k} == {
        resource: (amount, 0) for resource, amount in expected.items()
    }
    assert set(_usage(database, "p").values()) == {(0, 0)}
    with database.writing() as tx:
        assert {key[0] for key in quota.charged(tx)} == {"a"}
        quota.give_back(tx, tx.scalars(select(Snapshot)).one())
    assert _usage(database, "a")["snapshots"] == (0, 0)
    assert _usage(database, "a")["gigabytes"] == (4, 0)


def test_a_group_is_charged_by_count(database: Database) -> None:
    group = Group(project_id="p", charged_count=1)
    flow = database.flow()
    with database.writing() as tx:
        quota.reserve(tx, flow, "p", quota.group_deltas(1), {"groups": 1})
        quota.commit(tx, flow)
    with pytest.raises(OverQuota), database.writing() as tx:
        quota.reserve(tx, flow, "p", quota.group_deltas(1), {"groups": 1})
    with database.writing() as tx:
        quota.give_back(tx, group)
        quota.give_back(tx, group)
    assert _usage(database, "p") == {"groups": (0, 0)}
