"""Volumes through the real chain, without and with the commonest troubles."""

from typing import Any

import pytest
from sqlalchemy import update

from db import overrides
from db.models import Clock
from tasks.definition import Run
from tasks.volume_create import create_volume
from tests.harness import World
from tests.tasks.faults import Lose, NodeDies


@pytest.fixture
def world(any_world: World) -> World:
    """On each database."""
    return any_world


def _lose_node_in(world: World, task: str) -> None:
    world.faults.append(NodeDies(task, "begin", back=-1))


def _break_last_step(patch: pytest.MonkeyPatch) -> None:
    def broken(run: Run) -> Any:
        raise RuntimeError("injected")

    patch.setattr(create_volume.steps[-1], "do", broken)


def test_a_volume_is_created_extended_and_deleted(world: World) -> None:
    volume_id = world.create(2)
    world.finish()

    volume = world.volume(volume_id)
    assert volume is not None
    assert (volume.status, volume.size, volume.charged_gib) == ("available", 2, 2)
    world.extend(volume_id, 5)
    world.finish()
    volume = world.volume(volume_id)
    assert volume is not None
    assert (volume.status, volume.size, volume.allocated_gib) == ("available", 5, 5)
    world.delete(volume_id)
    world.finish()
    assert world.volume(volume_id) is None
    assert not any(node.objects() for node in world.nodes.values())


def test_a_parked_extend_that_is_reset_is_not_charged_for(world: World) -> None:
    volume_id = world.create(2)
    world.settle()
    _lose_node_in(world, "volume.extend.extend")
    world.extend(volume_id, 5)
    world.finish()

    with world.writing() as tx:
        overrides.reset_volume_status(tx, volume_id, "available")

    volume = world.volume(volume_id)
    assert volume is not None
    assert (volume.status, volume.size, volume.charged_gib) == ("available", 2, 2)
    assert not world.residues()
    # What may have grown stays held in the pool.
    assert volume.allocated_gib == 5


def test_an_undo_does_not_wait_for_a_node_that_has_done_its_part(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a create that has destroyed its object, when the node has long been gone and the
    message of a later compensation is lost, then the undo ends all the same."""
    _break_last_step(monkeypatch)
    world.faults.append(Lose("volume.create.quota_give_back"))
    volume_id = world.create()
    world.run()
    for node in world.nodes.values():
        node.die()
    with world.writing() as tx:
        tx.execute(update(Clock).values(tick=Clock.tick + 10))

    world.finish()

    volume = world.volume(volume_id)
    assert volume is not None
    assert volume.status == "error"
    assert not world.residues()
