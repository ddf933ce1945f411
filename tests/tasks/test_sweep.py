"""The sweeper: what is lost is sent again, what waits is left alone, and its clock is its own."""

from datetime import timedelta
from functools import partial

from sqlalchemy import select, update

from config.routing import CONTROL, SWEEP
from db.models import Clock, FlowStep, utcnow
from tests.broker import Delivery
from tests.harness import Fault, World
from tests.tasks.faults import Lose


class Busy(Fault):
    """Workers of a queue are slow: they take only so many messages between two sweeps."""

    def __init__(self, queue: str, most: int) -> None:
        self.queue, self.most, self.taken = queue, most, 0
        self.runs: list[str] = []

    def serves(self, queue: str) -> bool:
        return queue != self.queue or self.taken < self.most

    def message(self, world: World, delivery: Delivery) -> bool:
        if delivery.queue == self.queue:
            self.taken += 1
            self.runs.append(delivery.task)
        return False

    def tick(self, world: World) -> None:
        self.taken = 0


def _is(task: str, delivery: Delivery) -> bool:
    return delivery.task == task


def _tick(world: World) -> int:
    with world.reading() as tx:
        return tx.scalars(select(Clock.tick)).one()


def test_a_lost_message_is_sent_again_under_a_higher_epoch(world: World) -> None:
    world.faults.append(Lose("volume.create.quota_reserve"))
    volume_id = world.create()
    world.finish()

    assert world.volume(volume_id) is not None
    assert world.flow_of(volume_id).epoch == 2
    with world.reading() as tx:
        lines = tx.scalars(select(FlowStep).order_by(FlowStep.seq)).all()
    assert [line.epoch for line in lines] == [1, *[2] * 6]


def test_a_backlog_is_not_sent_again(world: World) -> None:
    """Given creates whose queue takes many sweeps to work off, then each runs exactly once."""
    slow = Busy(CONTROL, most=4)
    world.faults.append(slow)
    flows = [world.flow_of(world.create()) for _ in range(12)]
    world.finish()
    assert _tick(world) > 12
    assert {world.flow(flow.id).epoch for flow in flows} == {1}
    assert slow.runs.count("volume.create.extract") == 12


def test_two_beats_make_one_tick(world: World) -> None:
    before = _tick(world)
    with world.writing() as tx:
        tx.execute(update(Clock).values(at=utcnow() - timedelta(days=1)))
    for _ in range(3):
        world.control.send_task("sweep.tick", queue=SWEEP)
    world.run()
    assert _tick(world) == before + 1


def test_a_clock_that_was_set_back_does_not_stop_the_sweeper(world: World) -> None:
    with world.writing() as tx:
        tx.execute(update(Clock).values(at=utcnow() + timedelta(days=365)))
    before = _tick(world)
    world.control.send_task("sweep.tick", queue=SWEEP)
    world.run()
    assert _tick(world) == before + 1


def test_time_that_jumps_forward_loses_no_flow(world: World) -> None:
    """Given a create in the middle, when the wall clock jumps by years, nothing is sent twice."""
    volume_id = world.create()
    world.run(until=partial(_is, "volume.create.schedule"))
    with world.writing() as tx:
        tx.execute(update(Clock).values(at=utcnow() - timedelta(days=3650)))
    world.finish()
    assert world.flow_of(volume_id).epoch == 1


def test_an_emptied_broker_loses_nothing(world: World) -> None:
    """Given flows at every stage, when the broker is emptied, then all of them end well."""
    volumes = []
    for stop in ("extract", "quota_reserve", "db_entry", "quota_commit", "schedule", "create"):
        volumes.append(world.create())
        world.run(until=partial(_is, f"volume.create.{stop}"))
        world.broker.flush()
    world.finish()
    found = [world.volume(volume_id) for volume_id in volumes]
    assert [volume.status for volume in found if volume] == ["available"] * len(volumes)
