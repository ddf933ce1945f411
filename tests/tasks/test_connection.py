"""Connections of volumes: limits for hosts, and what is left of one when another has come."""

import pytest

from db import attachments
from db.models import Attachment, new_id
from tasks.connection import scaled
from tests.harness import World

CONNECTOR = {"host": "compute1"}


@pytest.fixture
def world(any_world: World) -> World:
    """On each database."""
    return any_world


@pytest.mark.parametrize(
    ("specs", "expected"),
    [
        ({}, {}),
        ({"total_iops_sec": "500"}, {"total_iops_sec": "500"}),
        ({"total_iops_sec_per_gb": "10"}, {"total_iops_sec": "50"}),
        (
            {"read_bytes_sec_per_gb": "10", "read_bytes_sec_per_gb_min": "80"},
            {"read_bytes_sec": "80"},
        ),
        ({"write_iops_sec_per_gb": "10", "write_iops_sec_max": "30"}, {"write_iops_sec": "30"}),
    ],
)
def test_a_limit_per_gib_is_worked_out_for_the_volume(
    specs: dict[str, str], expected: dict[str, str]
) -> None:
    assert scaled(specs, 5) == expected


def test_a_leftover_does_not_end_the_connection_that_came_after_it(world: World) -> None:
    """Given a connect whose node died, when the node is back and the next one is quicker than the
    sweeper, then what was left of the first is settled without harm to the second."""
    volume_id, attachment_id = world.create(), new_id()
    world.settle()
    with world.writing() as tx:
        attachments.reserve(
            tx,
            attachments.locked_volume(tx, volume_id),
            attachment_id=attachment_id,
            user_id="ann",
            instance_id=None,
            mode=None,
        )
    asked = {"volume_id": volume_id, "connector": CONNECTOR, "make": None}
    for node in world.nodes.values():
        node.die()
    world.submit("attachment.connect", attachment_id, asked)
    world.settle()
    (left,) = world.residues()
    assert left.op["verb"] == "disconnect"

    for node in world.nodes.values():
        node.start()
    world.submit("attachment.connect", attachment_id, asked)
    world.run()
    (connected,) = (node for node in world.nodes.values() if node.connections())
    world.finish()

    assert not world.residues()
    assert list(connected.connections()) == [attachments.object_name(attachment_id)]


def test_an_attachment_is_made_and_removed(world: World) -> None:
    volume_id, attachment_id = world.create(), new_id()
    world.settle()
    make = {"instance_id": new_id(), "mode": "ro"}
    asked = {"volume_id": volume_id, "connector": CONNECTOR, "make": make}
    world.submit("attachment.connect", attachment_id, asked)
    world.finish()

    with world.reading() as tx:
        attachment = tx.get_one(Attachment, attachment_id)
    assert (attachment.status, attachment.attached_host) == ("attaching", "compute1")
    assert attachment.connection_info is not None
    assert attachment.connection_info["access_mode"] == "ro"
    world.submit("attachment.disconnect", attachment_id, {"volume_id": volume_id})
    world.finish()
    volume = world.volume(volume_id)
    assert volume is not None
    assert (volume.status, volume.attach_status) == ("available", "detached")


def test_a_volume_deleted_by_force_while_it_is_connected_leaves_nothing(world: World) -> None:
    volume_id, attachment_id = world.create(), new_id()
    world.settle()
    make = {"instance_id": None, "mode": None}
    asked = {"volume_id": volume_id, "connector": CONNECTOR, "make": make}
    world.submit("attachment.connect", attachment_id, asked)
    world.run(until=lambda delivery: delivery.task == "attachment.connect.connect")

    world.delete(volume_id, force=True)
    world.finish()

    assert world.volume(volume_id) is None
    assert not world.residues()
    assert not any(node.objects() or node.connections() for node in world.nodes.values())
