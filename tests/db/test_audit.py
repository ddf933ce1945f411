"""One thing goes wrong: the audit finds that and nothing else, and mends it."""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from config.routing import node_queue
from db import capacity, quota
from db.audit import Kind
from db.audit_repair import BY_HAND, GONE, MENDED, REPAIRS
from db.models import (
    Audit,
    AuditDifference,
    Flow,
    Hold,
    Pool,
    QuotaUsage,
    Reservation,
    Residue,
    Snapshot,
    Volume,
    new_id,
)
from db.models.flow import RUNNING, SUPERSEDED
from tests import audits
from tests.audits import Found
from tests.broker import Delivery
from tests.harness import PROJECT, World
from tests.tasks.conftest import (
    any_world,
    lasting_postgresql_world,
    lasting_world,
    migrated,
    postgresql_world,
    sqlite_world,
)

__all__ = [
    "any_world",
    "lasting_postgresql_world",
    "lasting_world",
    "migrated",
    "postgresql_world",
    "sqlite_world",
]


@pytest.fixture
def world(any_world: World) -> World:
    """Everything here runs on both databases."""
    return any_world


EXAMPLES = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def furnish(world: World) -> None:
    """Two volumes that are ready, a snapshot, a volume that failed, and one in the making."""
    world.reset()
    world.create(2)
    source = world.create(3)
    world.settle()
    world.snapshot(source)
    world.settle()
    for node in world.nodes.values():
        node.fail(create=[{"fault": "fail_before"}])
    world.create(1)
    world.settle()
    for node in world.nodes.values():
        node.fail()
    world.create(4)
    world.run(lambda one: one.task == "volume.create.create")


def ready(tx: Session) -> Volume:
    query = select(Volume).where(Volume.status == "available").order_by(Volume.size)
    return tx.scalars(query).first() or pytest.fail("no volume")


def under_way(tx: Session) -> tuple[Flow, Volume]:
    flow = tx.scalars(select(Flow).where(Flow.state == RUNNING)).one()
    return flow, tx.get_one(Volume, flow.resource_id)


def ended(tx: Session) -> str:
    created = (Flow.state == "succeeded") & (Flow.kind == "volume.create")
    query = select(Flow.id).where(created).order_by(Flow.id)
    return tx.scalars(query).first() or pytest.fail("no flow")


# Each does its damage, and says what the audit must find.


def usage(world: World, pick: int, by: int) -> Found:
    column = ("in_use", "reserved")[pick % 2]
    with world.writing() as tx:
        rows = tx.scalars(select(QuotaUsage).order_by(QuotaUsage.resource)).all()
        row = rows[pick // 2 % len(rows)]
        setattr(row, column, getattr(row, column) + by)
        return [(f"quota_{column}", row.project_id, row.resource)]


def usage_lost(world: World, pick: int, _by: int) -> Found:
    """All rows of the usage of what one project has of one kind."""
    with world.writing() as tx:
        used = select(QuotaUsage).where(QuotaUsage.in_use > 0, QuotaUsage.reserved == 0)
        rows = tx.scalars(used.order_by(QuotaUsage.resource)).all()
        row = rows[pick % len(rows)]
        tx.delete(row)
        return [("quota_in_use", row.project_id, row.resource)]


def pool(world: World, pick: int, by: int) -> Found:
    with world.writing() as tx:
        pools = tx.scalars(select(Pool).order_by(Pool.name)).all()
        row = pools[pick // 2 % len(pools)]
        if pick % 2:
            row.taken_gib += by
            return [("pool_taken", row.name, "taken_gib")]
        row.volumes += by
        return [("pool_volumes", row.name, "volumes")]


def reservation(world: World, _pick: int, by: int) -> Found:
    with world.writing() as tx:
        flow_id = ended(tx)
        quota.reserve(tx, flow_id, PROJECT, {"gigabytes": abs(by)}, {}, 1)
        return [("stuck_reservation", "volume.create, succeeded", flow_id)]


def claim(world: World, _pick: int, by: int) -> Found:
    with world.writing() as tx:
        flow_id = ended(tx)
        assert capacity.claim(tx, flow_id, ready(tx).pool_id or 0, abs(by), volumes=1)
        return [("stuck_claim", "volume.create, succeeded", flow_id)]


def hold(world: World, _pick: int, _by: int) -> Found:
    with world.writing() as tx:
        flow_id = ended(tx)
        tx.execute(insert(Hold).values(flow_id=flow_id, resource_id=new_id()))
        return [("stuck_hold", "volume.create, succeeded", flow_id)]


def passing(world: World, pick: int, _by: int) -> Found:
    with world.writing() as tx:
        volume = ready(tx)
        volume.status = ("creating", "deleting", "extending")[pick % 3]
        volume.flow_id = ended(tx) if pick % 2 else None
        return [("volume_without_flow", str(volume.host), volume.id)]


def owner_ended(world: World, _pick: int, _by: int) -> Found:
    with world.writing() as tx:
        volume = ready(tx)
        volume.flow_id = ended(tx)
        return [("volume_without_flow", str(volume.host), volume.id)]


def owner_lost(world: World, _pick: int, _by: int) -> Found:
    with world.writing() as tx:
        flow, volume = under_way(tx)
        volume.flow_id = None
        return [("flow_without_volume", "volume.create", flow.id)]


def owner_swapped(world: World, _pick: int, _by: int) -> Found:
    with world.writing() as tx:
        flow, volume = under_way(tx)
        volume.flow_id, volume.status = None, "available"
        volume.host = None
        return [("flow_without_volume", "volume.create", flow.id)]


def orphan(world: World, pick: int, by: int) -> Found:
    node = world.nodes[("node1", "node2")[pick % 2]]
    name = f"volume-{new_id()}" + (f".{pick}" if pick % 3 else "")
    node.store.put(name, "fake", abs(by), None)
    return [("orphan_object", f"{node.host}@fake", name)]


def old_generation(world: World, pick: int, _by: int) -> Found:
    """Something of a volume that lives, from an attempt that was before it."""
    node = world.nodes[("node1", "node2")[pick % 2]]
    with world.reading() as tx:
        name = f"{ready(tx).object_name}.9"
    node.store.put(name, "fake", 1, None)
    return [("orphan_object", f"{node.host}@fake", name)]


def missing(world: World, _pick: int, _by: int) -> Found:
    with world.reading() as tx:
        volume = ready(tx)
    backend = str(volume.host).partition("#")[0]
    world.nodes[backend.partition("@")[0]].store.drop(volume.object_name)
    return [("missing_object", backend, volume.object_name)]


def resized(world: World, _pick: int, by: int) -> Found:
    with world.reading() as tx:
        volume = ready(tx)
    backend = str(volume.host).partition("#")[0]
    store = world.nodes[backend.partition("@")[0]].store
    store.put(volume.object_name, "fake", max(0, volume.size + by), None)
    return [("wrong_size", backend, volume.object_name)]


def taken(tx: Session) -> tuple[Snapshot, str]:
    """The snapshot, and the back end that it is on."""
    snapshot = tx.scalars(select(Snapshot)).one()
    return snapshot, str(tx.get_one(Volume, snapshot.volume_id).host)


def snapshot_passing(world: World, pick: int, _by: int) -> Found:
    with world.writing() as tx:
        snapshot, host = taken(tx)
        snapshot.status = ("creating", "deleting")[pick % 2]
        snapshot.flow_id = ended(tx) if pick % 3 else None
        return [("volume_without_flow", host, snapshot.id)]


def snapshot_missing(world: World, pick: int, by: int) -> Found:
    with world.reading() as tx:
        snapshot, host = taken(tx)
    backend = host.partition("#")[0]
    store = world.nodes[host.partition("@")[0]].store
    if pick % 2:
        store.drop(snapshot.object_name)
        return [("missing_object", backend, snapshot.object_name)]
    store.put(snapshot.object_name, "fake", max(0, snapshot.size + by), None)
    return [("wrong_size", backend, snapshot.object_name)]


def snapshot_orphan(world: World, pick: int, by: int) -> Found:
    node = world.nodes[("node1", "node2")[pick % 2]]
    name = f"snapshot-{new_id()}"
    node.store.put(name, "fake", abs(by), None)
    return [("orphan_object", f"{node.host}@fake", name)]


Damage = Callable[[World, int, int], Found]
DAMAGES: tuple[Damage, ...] = (
    *(usage, usage_lost, pool, reservation, claim, hold),
    *(passing, owner_ended, owner_lost, owner_swapped),
    *(orphan, old_generation, missing, resized),
    *(snapshot_passing, snapshot_missing, snapshot_orphan),
)


def check_damage(world: World, damage: Damage, pick: int, by: int) -> None:
    furnish(world)
    expected = damage(world, pick, by)
    held = hold_create(world)

    assert audits.audit(world) == expected
    assert audits.repair(world) == [MENDED]

    assert audits.audit(world) == []
    world.broker.put(held)
    world.settle()
    assert audits.audit(world) == [], world.story()


@EXAMPLES
@given(
    damage=st.sampled_from(DAMAGES),
    pick=st.integers(0, 20),
    by=st.integers(-2, 9).filter(bool),
)
def test_one_damage_is_found_alone_and_mended(
    sqlite_world: World, damage: Damage, pick: int, by: int
) -> None:
    check_damage(sqlite_world, damage, pick, by)


@pytest.mark.parametrize("damage", DAMAGES)
def test_each_damage_is_mended_on_postgresql(postgresql_world: World, damage: Damage) -> None:
    check_damage(postgresql_world, damage, pick=1, by=2)


def hold_create(world: World) -> Delivery:
    """The create that is under way, as it waits for its node."""
    host = next(host for host in world.nodes if world.broker.holds(node_queue(host)))
    return world.broker.take(node_queue(host))


def test_every_kind_but_those_for_a_person_has_damage_that_is_mended() -> None:
    assert {kind for kind in Kind if REPAIRS[kind].mend is None} == {Kind.MISPLACED_OBJECT}
    assert set(REPAIRS) == set(Kind)


def test_a_flow_at_work_may_have_more_than_its_row_says(world: World) -> None:
    furnish(world)
    with world.reading() as tx:
        _, volume = under_way(tx)
    held = hold_create(world)
    world.nodes["node1"].store.put(f"{volume.object_name}.7", "fake", 4, None)
    assert audits.audit(world) == []

    world.broker.put(held)
    world.settle()
    name = f"{volume.object_name}.7"
    assert audits.audit(world) == [("orphan_object", "node1@fake", name)]


def test_what_a_residue_tells_of_may_be_there_or_not(world: World) -> None:
    """A growth whose node gave no answer, for one; and what is yet to be destroyed."""
    furnish(world)
    hold_create(world)
    with world.writing() as tx:
        volume = ready(tx)
        host, _, backend = str(volume.host).partition("#")[0].partition("@")
        names = (volume.object_name, f"volume-{new_id()}")
        for name in names:
            op = {"verb": "extend", "backend": backend, "object": name}
            residue = Residue(flow_id=new_id(), request_id="r", volume_id=volume.id, host=host)
            residue.op, residue.epoch, residue.reason = op, 9, "no answer"
            tx.add(residue)
    store = world.nodes[host].store
    for size in (volume.size + 3, 1):
        for name in names:
            store.put(name, "fake", size, None)
        assert audits.audit(world) == []
    for name in names:
        store.drop(name)
    assert audits.audit(world) == []


def test_a_growth_that_was_called_off_may_have_happened(world: World) -> None:
    furnish(world)
    hold_create(world)
    with world.writing() as tx:
        volume = ready(tx)
        assert volume.pool_id is not None
        assert capacity.claim(tx, ended(tx), volume.pool_id, 3, volumes=0)
        capacity.allocate(tx, ended(tx), volume)
    store = world.nodes[str(volume.host).partition("@")[0]].store
    backend = str(volume.host).partition("#")[0]
    for size, wrong in ((2, False), (4, False), (5, False), (6, True), (1, True)):
        store.put(volume.object_name, "fake", size, None)
        expected = [("wrong_size", backend, volume.object_name)] if wrong else []
        assert audits.audit(world) == expected


def test_an_orphan_is_destroyed_by_its_node(world: World) -> None:
    ((_, _, name),) = orphan(world, 0, 1)
    for _ in range(2):  # put there again by hand, after it was destroyed under the same name
        world.nodes["node1"].store.put(name, "fake", 1, None)
        assert audits.repair(world) == [MENDED]
        with world.reading() as tx:
            residue = tx.scalars(select(Residue)).one()
        assert (residue.host, residue.op["object"]) == ("node1", name)

        world.settle()

        assert world.nodes["node1"].objects() == {}
        assert world.residues() == []


def test_a_missing_object_takes_nothing_else_away(world: World) -> None:
    furnish(world)
    missing(world, 0, 0)
    with world.reading() as tx:
        before = ready(tx)
    audits.repair(world)

    volume = world.volume(before.id)
    assert volume is not None
    assert (volume.status, volume.charged_gib, volume.host) == ("error", 2, before.host)
    world.delete(volume.id)
    world.settle()
    assert world.volume(volume.id) is None
    assert audits.audit(world) == []


def test_a_volume_on_the_wrong_back_end_is_left_to_a_person(world: World) -> None:
    furnish(world)
    with world.reading() as tx:
        volume = ready(tx)
    here = str(volume.host).partition("@")[0]
    there = next(host for host in world.nodes if host != here)
    world.nodes[there].store.put(volume.object_name, "fake", volume.size, None)

    found = [("misplaced_object", f"{there}@fake", volume.object_name)]
    assert audits.audit(world) == found
    assert audits.repair(world) == [BY_HAND]
    world.settle()
    assert volume.object_name in world.nodes[here].objects()
    assert audits.audit(world) == found


def test_a_flow_gets_its_volume_back_and_finishes(world: World) -> None:
    furnish(world)
    ((_, _, flow_id),) = owner_lost(world, 0, 0)
    held = hold_create(world)
    audits.repair(world)
    world.broker.put(held)
    world.settle()
    assert world.flow(flow_id).state == "succeeded"


def test_what_a_create_without_a_row_has_made_is_removed(world: World) -> None:
    volume_id = world.create(2)
    world.run(lambda one: one.task == "volume.create.finish")
    finish = world.broker.take("control")
    with world.writing() as tx:
        quota.give_back(tx, tx.get_one(Volume, volume_id))
        tx.delete(tx.get_one(Volume, volume_id))
    flow = world.flow_of(volume_id)

    assert audits.audit(world) == [("flow_without_volume", "volume.create", flow.id)]
    assert audits.repair(world) == [MENDED]
    assert world.flow(flow.id).state == SUPERSEDED
    world.broker.put(finish)
    world.settle()

    assert audits.audit(world) == []
    assert not any(node.objects() for node in world.nodes.values())


def test_what_has_been_put_right_meanwhile_is_left_alone(world: World) -> None:
    """Each kind of repair looks again before it acts."""
    furnish(world)
    audit_id = new_id()
    with world.writing() as tx:
        volume = ready(tx)
        flow, _ = under_way(tx)
        backend = str(volume.host).partition("#")[0]
        rows = [
            (Kind.QUOTA_IN_USE, PROJECT, "volumes"),
            (Kind.QUOTA_RESERVED, PROJECT, "gigabytes"),
            (Kind.POOL_TAKEN, volume.host, "taken_gib"),
            (Kind.POOL_VOLUMES, volume.host, "volumes"),
            (Kind.STUCK_RESERVATION, "-", flow.id),
            (Kind.STUCK_CLAIM, "-", flow.id),
            (Kind.STUCK_HOLD, "-", flow.id),
            (Kind.VOLUME_WITHOUT_FLOW, "-", flow.resource_id),
            (Kind.FLOW_WITHOUT_VOLUME, "-", flow.id),
            (Kind.ORPHAN_OBJECT, backend, volume.object_name),
            (Kind.MISSING_OBJECT, backend, volume.object_name),
            (Kind.WRONG_SIZE, backend, volume.object_name),
        ]
        now = flow.created_at
        tx.add(Audit(id=audit_id, request_id="r", state="repairing", timeout=9, deadline=now))
        tx.flush()
        for number, (kind, place, subject) in enumerate(rows):
            one = AuditDifference(audit_id=audit_id, number=number, kind=kind, place=place)
            one.subject, one.expected, one.found, one.confirmed = subject, "-", "-", True
            one.epoch = volume.epoch - 1
            tx.add(one)
        before = snapshot_of(tx)

    world.control.send_task("audit.repair", args=[{"v": 1, "audit": audit_id}], queue="control")
    world.run(lambda one: one.task.startswith("volume."))

    assert [row.outcome for row in audits.differences(world, audit_id)] == [GONE] * len(rows)
    with world.reading() as tx:
        assert snapshot_of(tx) == before


def snapshot_of(tx: Session) -> list[object]:
    """What repairs may change."""
    columns = (
        select(Volume.id, Volume.status, Volume.flow_id, Volume.epoch).order_by(Volume.id),
        select(QuotaUsage.resource, QuotaUsage.in_use, QuotaUsage.reserved).order_by(
            QuotaUsage.resource
        ),
        select(Pool.id, Pool.taken_gib, Pool.volumes).order_by(Pool.id),
        select(Flow.id, Flow.state, Flow.epoch).order_by(Flow.id),
        select(Reservation.flow_id, Reservation.resource),
        select(Residue.id),
        select(Hold.flow_id),
    )
    return [tuple(row) for query in columns for row in tx.execute(query)]


def test_old_audits_go(world: World) -> None:
    old = audits.begin(world)
    world.run()
    with world.writing() as tx:
        tx.execute(update(Audit).values(created_at=Audit.created_at.type.python_type(2020, 1, 1)))
    audits.audit(world)
    with world.reading() as tx:
        assert tx.get(Audit, old) is None
