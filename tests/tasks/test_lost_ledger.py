"""A node that lost its ledger, and messages from before the loss that come after it.

The new ledger knows neither epochs nor tombstones, so it is not these that keep old messages out.
"""

from collections.abc import Callable

import pytest

from tests.harness import Fault, World
from tests.tasks.faults import DriverFails, Late
from tests.tasks.test_stale import Held

CREATE, DESTROY = "volume.create.create", "volume.create.destroy"


class LosesLedgers(Fault):
    """When everything has ended, every node loses its ledger and comes back without it."""

    def end(self, world: World) -> None:
        for node in world.nodes.values():
            node.lose_ledger()
            node.start()
        world.run()


def given_up(world: World) -> None:
    """The create waits; the one that is sent for it fails, and the flow goes to another node."""
    world.faults += [Held(CREATE), DriverFails(CREATE, "fail_before")]
    world.create()


def undone(world: World) -> None:
    """The create was done, and its answer is that it may have left something: it was destroyed."""
    world.faults += [Late(CREATE), DriverFails(CREATE, "fail_after")]
    world.create()


def deleted(world: World) -> None:
    """The create was done, and its volume is deleted since."""
    world.faults.append(Late(CREATE))
    volume_id = world.create()
    world.settle()
    world.delete(volume_id)


def extended(world: World) -> None:
    """The create was done, and its volume is there."""
    world.faults += [Late(CREATE), Late("volume.extend.extend")]
    volume_id = world.create()
    world.settle()
    world.extend(volume_id, 2)
    world.settle()
    world.extend(volume_id, 3)


@pytest.mark.parametrize("before", [given_up, undone, deleted, extended])
def test_what_was_ordered_before_the_loss_has_no_effect_after_it(
    world: World, before: Callable[[World], None]
) -> None:
    world.faults.append(LosesLedgers())
    before(world)
    world.finish()


def test_what_waits_for_the_node_is_ordered_anew(world: World) -> None:
    """Given orders in a node's queue, when it comes back without its ledger, then it does them
    once they have been sent again."""
    node = world.nodes["node1"]
    waiting = [world.create() for _ in range(4)]
    assert world.run(lambda one: one.task == CREATE and one.queue == "node.node1") is not None
    node.lose_ledger()
    node.start()
    world.settle()

    made = [volume for one in waiting if (volume := world.volume(one))]
    assert [volume.status for volume in made] == ["available"] * 4
    world.check()
