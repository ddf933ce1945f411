"""Messages of an attempt that was given up, which come when a later one stands at the same place.

Position and state alone would let them in: only the epoch tells them from those that are awaited.
"""

import pytest

from tests.broker import Delivery
from tests.harness import World
from tests.tasks import faults
from tests.tasks.faults import Aimed, Break, DriverFails

CREATE, DESTROY = "volume.create.create", "volume.create.destroy"
FINISH, RELEASE = "volume.create.finish", "volume.create.release_claim"


class Stray(Aimed):
    """The first message of `task` comes (or comes again) just before the next one of `before`.

    `held`: it did not come before, and the node that it came from is gone. `lost`: the message that
    it comes before is lost.
    """

    def __init__(self, task: str, before: str, *, held: bool = False, lost: bool = False) -> None:
        super().__init__(task)
        self.before, self.held, self.lost = before, held, lost
        self.stray: Delivery | None = None

    def message(self, world: World, delivery: Delivery) -> bool:
        if self.hits(delivery):
            self.stray = delivery
            if self.held:
                world.nodes[delivery.message["reply"]["node"]].die()
            return self.held
        if self.stray is None or delivery.task != self.before:
            return False
        stray, self.stray = self.stray, None
        assert stray.message["epoch"] < delivery.message["epoch"]
        world.execute(stray)
        return self.lost


class Held(Aimed):
    """The message comes only when everything has ended."""

    held: Delivery | None = None

    def message(self, world: World, delivery: Delivery) -> bool:
        if self.hits(delivery):
            self.held = delivery
            return True
        return False

    def end(self, world: World) -> None:
        assert self.held is not None
        world.execute(self.held)


class FailsInSecond(DriverFails):
    """The driver fails in the second attempt."""

    def hits(self, delivery: Delivery) -> bool:
        second = delivery.message.get("ctx", {}).get("generation") == 1
        return second and super().hits(delivery)


@pytest.mark.parametrize("lost", [False, True])
def test_the_answer_of_an_earlier_node_does_not_stand_for_the_next_one_s(
    world: World, lost: bool
) -> None:
    """Given a create whose first node is gone with its answer on the way, when the answer comes
    while the second node is asked, then the volume is where the second node says."""
    world.faults.append(Stray(FINISH, CREATE, held=True, lost=lost))
    volume_id = world.create()
    world.finish()

    volume = world.volume(volume_id)
    assert volume is not None
    assert (volume.status, volume.generation) == ("available", 1)


def test_the_proof_of_an_earlier_undo_does_not_stand_for_this_one_s(world: World) -> None:
    """Given that the undo of the first attempt is heard of again, when the second one is undone
    and its own message is lost, then the second node is still asked to destroy."""
    world.faults += [
        DriverFails(CREATE, "fail_after"),
        FailsInSecond(CREATE, "fail_after"),
        Stray(RELEASE, DESTROY, lost=True),
    ]
    volume_id = world.create()
    world.finish()

    volume = world.volume(volume_id)
    assert volume is not None
    assert volume.status == "error"


def test_an_old_create_makes_nothing_where_a_newer_one_failed(world: World) -> None:
    """Given a create that waits, when the one that was sent for it fails cleanly and the flow goes
    to another node, then the old one finds its object's epoch passed."""
    world.faults += [Held(CREATE), DriverFails(CREATE, "fail_before")]
    volume_id = world.create()
    world.finish()

    volume = world.volume(volume_id)
    assert volume is not None
    assert (volume.status, volume.generation) == ("available", 1)


def test_a_create_that_comes_twice_makes_nothing_after_the_ledger_was_full(world: World) -> None:
    """Given a node that could write nothing down and said so, when the same message comes again
    after the flow went elsewhere, then nothing is left there."""
    world.faults += [faults.Late(CREATE), Break(CREATE, "fence", faults.ledger_error)]
    volume_id = world.create()
    world.finish()

    volume = world.volume(volume_id)
    assert volume is not None
    assert volume.status == "available"
