"""The audit while the installation works, and while parts of it do not."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from config.routing import CONTROL, EVENTS, SCHEDULER, SWEEP, node_queue
from db.models import Audit, AuditPart, Volume, new_id, utcnow
from db.models.audit import COLLECTING, CONFIRMING, DONE
from tasks.audit import check
from tasks.node import inventory
from tests import audits
from tests.broker import Delivery
from tests.harness import World

QUEUES = (EVENTS, CONTROL, SCHEDULER, SWEEP, node_queue("node1"), node_queue("node2"))
ORPHAN = f"volume-{new_id()}"
ACTIONS = ("create", "extend", "delete", "force", "audit", "audit", "tick", "fail", "work")
BUSY = settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def act(world: World, action: str, made: list[str], number: int) -> None:
    """One thing that a client, the clock or the storage does."""
    volume_id = made[number % len(made)] if made else ""
    match action:
        case "create":
            made.append(world.create(1 + number % 3))
        case "extend" if volume_id:
            world.extend(volume_id, 4 + number)
        case "delete" | "force" if volume_id:
            world.delete(volume_id, force=action == "force")
        case "tick":
            world.tick()
        case "fail":
            fault = ("fail_before", "fail_after", "lose")[number % 3]
            world.nodes["node1"].fail(create=[{"fault": fault}], extend=[{"fault": fault}])
        case "work":
            world.nodes["node1"].fail()


def deliver(world: World, first: int) -> None:
    """Run the oldest message of one queue that has any, looking into that number first."""
    for queue in (*QUEUES[first:], *QUEUES[:first]):
        if world.broker.holds(queue):
            world.execute(world.broker.take(queue))
            return


@BUSY
@given(
    moves=st.lists(
        st.one_of(
            st.tuples(st.sampled_from(ACTIONS), st.integers(0, 9)),
            st.tuples(st.just("deliver"), st.lists(st.integers(0, 5), min_size=1, max_size=12)),
        ),
        min_size=20,
        max_size=60,
    )
)
def test_a_busy_installation_has_no_difference(
    world: World, monkeypatch: pytest.MonkeyPatch, moves: list[tuple[str, int | list[int]]]
) -> None:
    """Whatever is under way when the lists are made, come in and are compared."""
    monkeypatch.setattr(inventory, "CHUNK", 2)
    world.reset()
    made: list[str] = []
    begun = []
    for action, how in moves:
        if isinstance(how, list):
            for first in how:
                deliver(world, first)
        elif action == "audit":
            begun.append(audits.begin(world))
        else:
            act(world, action, made, how)
    world.run()
    for audit_id in begun:
        assert audits.found(world, audit_id) == [], world.story()
    world.nodes["node1"].fail()
    world.settle()
    assert audits.audit(world) == [], world.story()


Change = Callable[[World], None]


def created(world: World) -> None:
    world.create(3)


def deleted(world: World) -> None:
    world.delete(only_volume(world).id)


def extended(world: World) -> None:
    volume = only_volume(world)
    world.extend(volume.id, volume.size + 3)


def only_volume(world: World) -> Volume:
    with world.reading() as tx:
        return tx.scalars(select(Volume)).one()


def change_behind_the_lists(world: World, meanwhile: Change) -> None:
    """Have the lists made, then something else done, and only then compared."""
    lists = []
    while (delivery := world.run(lambda one: one.task == "audit.inventory")) is not None:
        lists.append(world.broker.take(delivery.queue))
    meanwhile(world)
    world.run()
    for delivery in lists:
        world.broker.put(delivery)


@pytest.mark.parametrize(
    ("first", "second"),
    [(created, created), (extended, extended), (extended, deleted), (deleted, created)],
)
def test_what_happens_behind_a_list_is_no_difference(
    world: World, first: Change, second: Change
) -> None:
    world.create(2)
    world.settle()
    audit_id = audits.begin(world)

    change_behind_the_lists(world, first)
    world.run(lambda _: audits.state(world, audit_id) == CONFIRMING)
    change_behind_the_lists(world, second)
    world.run()

    assert audits.found(world, audit_id) == []
    with world.reading() as tx:
        assert tx.get_one(Audit, audit_id).round == 2, "the first look must have seen something"


def test_a_node_that_is_down_is_said_to_be(world: World) -> None:
    world.create(2)
    world.create(2)
    world.settle()
    world.nodes["node2"].store.put("volume-" + "0" * 36, "fake", 1, None)
    world.nodes["node2"].die()
    for _ in range(5):
        world.tick()
    world.nodes["node1"].store.put(ORPHAN, "fake", 1, None)

    audit_id = audits.begin(world)
    world.run()

    # What can be compared is compared.
    found = audits.found(world, audit_id)
    assert found == [("orphan_object", "node1@fake", ORPHAN)]
    with world.reading() as tx:
        backends = tx.get_one(Audit, audit_id).backends
    assert backends["node1@fake"]["state"] == "answered"
    assert backends["node2@fake"] == {"state": "unasked", "reason": "node node2 is down"}


def test_a_back_end_that_cannot_list_is_no_empty_one(world: World) -> None:
    world.create(2)
    world.settle()
    for node in world.nodes.values():
        node.fail(check=[{"fault": "fail_before"}])

    audit_id = audits.begin(world)
    world.run()

    assert audits.found(world, audit_id) == []
    with world.reading() as tx:
        for backend in tx.get_one(Audit, audit_id).backends.values():
            assert backend["state"] == "unasked"
            assert "told to fail" in backend["reason"]


def overdue(world: World, audit_id: str) -> None:
    """Let the time of a round be over, and somebody look."""
    with world.writing() as tx:
        late = utcnow() - timedelta(seconds=1)
        tx.execute(update(Audit).where(Audit.id == audit_id).values(deadline=late))
    with world.flask.app_context():
        check(world.engine, audit_id)


def test_an_answer_that_does_not_come_ends_the_wait(world: World) -> None:
    world.create(2)
    world.settle()
    audit_id = audits.begin(world)
    world.broker.flush()

    world.run()
    assert audits.state(world, audit_id) == COLLECTING
    overdue(world, audit_id)

    assert audits.found(world, audit_id) == []
    with world.reading() as tx:
        backends = tx.get_one(Audit, audit_id).backends
    assert backends["node1@fake"]["reason"] == "node node1 has not answered in time"


def test_what_cannot_be_confirmed_is_not_reported(world: World) -> None:
    world.nodes["node1"].store.put(ORPHAN, "fake", 1, None)
    audit_id = audits.begin(world)
    world.run(lambda _: audits.state(world, audit_id) == CONFIRMING)
    world.broker.flush()
    overdue(world, audit_id)

    assert audits.found(world, audit_id) == []
    with world.reading() as tx:
        backends = tx.get_one(Audit, audit_id).backends
    assert backends["node1@fake"]["state"] == "unasked"
    assert backends["node2@fake"]["state"] == "answered"


def test_parts_that_come_twice_or_late_change_nothing(world: World) -> None:
    world.create(1)
    world.settle()
    audit_id = audits.begin(world)
    twice = []
    while (delivery := world.run(lambda one: one.task == "audit.inventory")) is not None:
        twice.append(delivery)
        taken = world.broker.take(delivery.queue)
        world.execute(taken)
        world.execute(taken)

    assert len(twice) == 2
    assert audits.state(world, audit_id) == DONE
    for delivery in twice:
        world.execute(delivery)
    assert audits.found(world, audit_id) == []
    with world.reading() as tx:
        assert tx.query(AuditPart).count() == 0


def test_parts_of_two_lists_do_not_make_a_whole(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a node that was asked twice and listed twice, when the end of the one list and the
    beginning of the other are missing, then the rest is not taken for a list."""
    monkeypatch.setattr(inventory, "CHUNK", 1)
    world.create(1)
    world.settle()
    host = str(only_volume(world).host).partition("@")[0]
    audit_id = audits.begin(world)
    parts: list[Delivery] = []
    while world.run(lambda one: one.task in ("node.inventory", "audit.inventory")) is not None:
        queue = next(queue for queue in QUEUES if world.broker.holds(queue))
        taken = world.broker.take(queue)
        if taken.task == "audit.inventory":
            parts.append(taken)
        else:
            world.execute(taken)
            world.execute(taken)
    begins, ends, begins_again, ends_again = (p for p in parts if p.message["node"] == host)
    assert begins.message["objects"] == begins_again.message["objects"] != []

    for part in [p for p in parts if p.message["node"] != host] + [begins, ends_again]:
        world.execute(part)

    assert audits.state(world, audit_id) == COLLECTING
    world.execute(ends)
    assert audits.state(world, audit_id) == DONE


def test_a_part_from_another_node_is_not_believed(world: World) -> None:
    audit_id = audits.begin(world)
    world.run(lambda one: one.task == "audit.inventory")
    first = world.broker.take(CONTROL)
    forged = {
        "v": 1,
        "audit": f"{audit_id}/1",
        "node": "node9",
        "backend": "fake",
        "listing": new_id(),
        "part": 0,
        "last": True,
        "error": None,
        "objects": [[ORPHAN, 1]],
    }
    world.control.send_task("audit.inventory", args=[forged], queue=CONTROL)
    world.broker.put(first)
    world.run()
    assert audits.found(world, audit_id) == []
