"""An operator's retry and cancel, at any moment of a flow."""

import pytest

from db.models import new_id
from db.overrides import reset_volume_status
from db.transitions import BeingDestroyed, NotFound
from tasks.definition import Step
from tasks.interventions import NotNow, cancel, retry
from tasks.volume_create import create_volume
from tests.harness import World
from tests.tasks.faults import Lose, NodeDies

STEPS = create_volume.steps


def _stop_before(world: World, step: Step) -> None:
    assert world.run(until=lambda delivery: delivery.task == step.task) is not None


def _cancel(world: World, flow_id: str) -> None:
    with world.flask.app_context():
        cancel(world.engine, flow_id, "cancelled by a test")


def _retry(world: World, flow_id: str) -> None:
    with world.flask.app_context():
        retry(world.engine, flow_id)


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_a_create_is_cancelled_before_any_of_its_steps(world: World, step: Step) -> None:
    volume_id = world.create(2)
    _stop_before(world, step)
    flow = world.flow_of(volume_id)

    _cancel(world, flow.id)
    world.finish()

    assert world.flow(flow.id).state == "cancelled"
    volume = world.volume(volume_id)
    assert (volume.status if volume else None) == ("error" if flow.admitted else None)


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_a_create_is_sent_again_before_any_of_its_steps(world: World, step: Step) -> None:
    volume_id = world.create(2)
    _stop_before(world, step)
    flow = world.flow_of(volume_id)

    _retry(world, flow.id)
    world.finish()

    assert world.flow(flow.id).state == "succeeded"
    assert world.flow(flow.id).epoch > flow.epoch


def test_a_delete_past_its_pivot_is_not_cancelled(world: World) -> None:
    volume_id = world.create(1)
    world.settle()
    flow_id = world.delete(volume_id)
    assert world.run(until=lambda delivery: delivery.task == "volume.delete.destroy")

    with pytest.raises(NotNow, match="only goes forward"):
        _cancel(world, flow_id)

    world.finish()
    assert world.volume(volume_id) is None


def test_a_flow_that_has_ended_is_neither_cancelled_nor_retried(world: World) -> None:
    volume_id = world.create(1)
    world.settle()
    flow_id = world.flow_of(volume_id).id
    for act in (_cancel, _retry):
        with pytest.raises(NotNow, match="succeeded"):
            act(world, flow_id)
        with pytest.raises(NotFound):
            act(world, new_id())


def test_a_parked_delete_goes_on_when_it_is_retried(world: World) -> None:
    volume_id = world.create(1)
    world.settle()
    world.faults.append(NodeDies("volume.delete.destroy", "begin", back=-1))
    flow_id = world.delete(volume_id)
    world.settle()
    assert world.flow(flow_id).state == "parked"
    for node in world.nodes.values():
        if node.app is None:
            node.start()

    _retry(world, flow_id)
    world.finish()

    assert world.flow(flow_id).state == "succeeded"
    assert world.volume(volume_id) is None


def test_an_undo_that_is_lost_is_driven_on_by_a_retry(world: World) -> None:
    """Given an undo whose message is lost, a cancel is refused and a retry drives it on."""
    world.faults.append(Lose("volume.create.remove_or_fail"))
    for node in world.nodes.values():
        node.fail(create=[{"fault": "fail_before", "left": "clean", "times": -1}])
    volume_id = world.create(1)
    world.run()
    flow = world.flow_of(volume_id)
    assert flow.state == "undoing"

    with pytest.raises(NotNow, match="undoing"):
        _cancel(world, flow.id)
    _retry(world, flow.id)
    world.run()

    assert world.flow(flow.id).state == "failed"
    world.finish()


def test_a_volume_that_is_being_destroyed_is_not_declared_usable(world: World) -> None:
    """Given a destroy that waits on its node, where no later message can overtake it."""
    volume_id = world.create(1)
    world.settle()
    world.delete(volume_id)
    assert world.run(until=lambda delivery: delivery.task == "volume.delete.destroy")

    with pytest.raises(BeingDestroyed, match="cannot be undone"), world.writing() as tx:
        reset_volume_status(tx, volume_id, "available")

    world.finish()
    assert world.volume(volume_id) is None
