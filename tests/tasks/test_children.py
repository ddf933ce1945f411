"""Flows that a flow begins and waits for, as a delete does that takes the snapshots with it."""

import threading
from collections.abc import Callable
from functools import partial

import pytest
from sqlalchemy import select

from db import overrides
from db.models import Flow, Snapshot
from db.models.flow import FAILED, PARKED, REFUSED, RUNNING, SUCCEEDED, SUPERSEDED
from tasks.interventions import NotNow, cancel, retry
from tests.broker import Delivery
from tests.harness import World
from tests.tasks import faults
from tests.tasks.faults import Aimed

CHILD = "snapshot.delete"


def furnished(world: World) -> tuple[str, list[str]]:
    """A volume with two snapshots."""
    volume_id = world.create(2)
    world.settle()
    snapshots = [world.snapshot(volume_id) for _ in range(2)]
    world.settle()
    return volume_id, snapshots


def cascade(world: World, volume_id: str) -> str:
    return world.delete(volume_id, cascade=True)


def at(task: str) -> Callable[[Delivery], bool]:
    return lambda delivery: delivery.task == task


def children_of(world: World, flow_id: str) -> list[Flow]:
    with world.reading() as tx:
        return list(tx.scalars(select(Flow).where(Flow.parent_id == flow_id)))


def states(world: World, flow_id: str) -> set[str]:
    return {child.state for child in children_of(world, flow_id)}


def test_a_flow_goes_on_when_all_that_it_began_have_ended(world: World) -> None:
    volume_id, snapshots = furnished(world)
    parent = cascade(world, volume_id)
    world.run(at(f"{CHILD}.extract"))
    waiting = world.flow(parent)
    assert (waiting.children, waiting.state, waiting.admitted) == (2, RUNNING, True)
    begun = children_of(world, parent)
    assert {child.resource_id for child in begun} == set(snapshots)
    assert {child.request_id for child in begun} == {waiting.request_id}

    world.run(at(f"{CHILD}.finish"))
    assert world.flow(parent).position == waiting.position
    world.finish()
    assert world.flow(parent).state == SUCCEEDED
    assert world.flow(parent).children == 0
    assert world.volume(volume_id) is None
    assert not any(node.objects() for node in world.nodes.values())


def test_a_flow_without_any_to_wait_for_does_not_wait(world: World) -> None:
    volume_id = world.create()
    world.settle()
    parent = cascade(world, volume_id)
    world.run()
    assert world.flow(parent).state == SUCCEEDED


def test_one_of_them_that_is_refused_undoes_the_flow(world: World) -> None:
    volume_id, (kept, gone) = furnished(world)
    parent = cascade(world, volume_id)
    world.run(at(f"{CHILD}.extract"))
    with world.writing() as tx:
        tx.get_one(Snapshot, kept).status = "backing-up"
    world.settle()

    assert states(world, parent) == {SUCCEEDED, REFUSED}
    assert world.flow(parent).state == FAILED
    assert kept in (world.flow(parent).error or {})["message"]
    volume = world.volume(volume_id)
    assert volume is not None
    assert volume.status == "error_deleting"
    assert world.snapshot_row(gone) is None

    with world.writing() as tx:
        overrides.reset_snapshot_status(tx, kept, "available")
    cascade(world, volume_id)
    world.finish()
    assert world.volume(volume_id) is None


def test_one_that_is_parked_has_ended_for_the_flow_and_ends_later_by_itself(world: World) -> None:
    volume_id, snapshots = furnished(world)
    parent = cascade(world, volume_id)
    found = world.run(at(f"{CHILD}.destroy"))
    assert found is not None
    node = world.node_of(found)
    node.die()
    world.settle()
    assert states(world, parent) == {PARKED}
    assert world.flow(parent).state == FAILED
    volume = world.volume(volume_id)
    assert volume is not None
    assert volume.status == "error_deleting"
    assert {row.status for s in snapshots if (row := world.snapshot_row(s))} == {"error_deleting"}

    node.start()
    world.finish()
    assert states(world, parent) == {SUCCEEDED}
    assert world.flow(parent).children == 0  # it was told once, though they ended twice
    assert not any(world.snapshot_row(snapshot_id) for snapshot_id in snapshots)
    world.delete(volume_id)
    world.finish()
    assert world.volume(volume_id) is None


MISHAPS: dict[str, Callable[[str], Aimed]] = {
    "lost": faults.Lose,
    "flushed": faults.Flush,
    "doubled": faults.Double,
    "late": faults.Late,
    "overtaken": partial(faults.Overtaken, after=True),
    "killed-before-commit": partial(faults.Die, point="commit"),
    "killed-after-commit": partial(faults.Die, point="committed"),
    "killed-before-sending": partial(faults.Die, point="done"),
    "killed-and-delivered-again": partial(faults.Die, point="committed", again=True),
    "database-answer-lost": partial(faults.Break, point="committed", error=faults.database_error),
    "broker-down": partial(faults.Break, point="done", error=faults.broker_error),
}


@pytest.mark.parametrize("mishap", MISHAPS)
@pytest.mark.parametrize(
    "task",
    [
        "volume.delete.extract",
        f"{CHILD}.extract",
        f"{CHILD}.finish",
        "volume.delete.check_snapshots",
    ],
)
def test_no_message_of_theirs_is_needed(world: World, task: str, mishap: str) -> None:
    volume_id, snapshots = furnished(world)
    fault = MISHAPS[mishap](task)
    world.faults.append(fault)
    parent = cascade(world, volume_id)
    world.finish()
    assert fault.struck, world.story()
    assert world.flow(parent).state == SUCCEEDED, world.story()
    assert world.volume(volume_id) is None
    assert len(children_of(world, parent)) == len(snapshots)


def test_a_flow_that_waits_is_neither_retried_nor_cancelled(world: World) -> None:
    volume_id, _ = furnished(world)
    parent = cascade(world, volume_id)
    world.run(at(f"{CHILD}.destroy"))
    with world.flask.app_context():
        for act in (retry, partial(cancel, reason="by the test")):
            with pytest.raises(NotNow, match="waits for 2 flows"):
                act(world.engine, parent)
        for child in children_of(world, parent):
            retry(world.engine, child.id)
    world.finish()
    assert world.flow(parent).state == SUCCEEDED
    assert world.volume(volume_id) is None


def test_the_last_two_that_end_at_once_send_the_flow_on_once(any_world: World) -> None:
    world = any_world
    volume_id, snapshots = furnished(world)
    parent = cascade(world, volume_id)
    held: list[Delivery] = []
    while (last := world.run(at(f"{CHILD}.finish"))) is not None:
        held.append(world.broker.take(last.queue))
    assert len(held) == len(snapshots)

    threads = [threading.Thread(target=world.execute, args=(one,)) for one in held]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    world.finish()
    assert world.flow(parent).state == SUCCEEDED
    assert world.flow(parent).attempt == 1
    assert world.volume(volume_id) is None


def test_an_override_ends_a_flow_that_waits_and_takes_over_what_it_began(world: World) -> None:
    volume_id, _ = furnished(world)
    parent = cascade(world, volume_id)
    world.run(at(f"{CHILD}.destroy"))
    by_force = world.delete(volume_id, force=True, cascade=True)
    world.finish()
    assert world.flow(parent).state == SUPERSEDED
    assert states(world, parent) <= {SUPERSEDED, SUCCEEDED}
    assert world.flow(by_force).state == SUCCEEDED
    assert world.volume(volume_id) is None


def test_a_reset_leaves_those_that_were_begun_to_end_by_themselves(world: World) -> None:
    volume_id, snapshots = furnished(world)
    parent = cascade(world, volume_id)
    world.run(at(f"{CHILD}.destroy"))
    with world.writing() as tx:
        overrides.reset_volume(tx, volume_id, "req-reset", status="error")
    world.finish()
    assert world.flow(parent).state == SUPERSEDED
    assert states(world, parent) == {SUCCEEDED}
    volume = world.volume(volume_id)
    assert volume is not None
    assert volume.status == "error"
    assert not any(world.snapshot_row(snapshot_id) for snapshot_id in snapshots)
