"""A request that was accepted and then fails leaves one message to its project."""

import pytest
from sqlalchemy import select

from db.messages import codes
from db.models import Quota, UserMessage
from tests.harness import PROJECT, World


def messages(world: World) -> list[UserMessage]:
    with world.reading() as tx:
        return list(tx.scalars(select(UserMessage)))


TOO_LARGE = 10_000_000
"""GiB; more than a node has."""


@pytest.fixture(autouse=True)
def no_limit(world: World) -> None:
    with world.writing() as tx:
        tx.add(Quota(project_id=PROJECT, resource="gigabytes", hard_limit=-1))


def test_a_volume_that_no_backend_has_room_for(world: World) -> None:
    volume_id = world.create(TOO_LARGE)
    world.finish()
    (message,) = messages(world)
    assert (message.project_id, message.resource_uuid) == (PROJECT, volume_id)
    assert (message.event_id, message.resource_type) == ("VOLUME_VOLUME_001_003", "VOLUME")
    assert message.user_message == (
        "schedule allocate volume:Could not find any available weighted backend."
    )
    assert (message.expires_at - message.created_at).days == 30


def test_a_driver_that_fails_at_each_attempt(world: World) -> None:
    world.add_node("node3")
    world.tick()
    for node in world.nodes.values():
        node.fail(create=[{"fault": "fail_before", "times": -1}])
    volume_id = world.create()
    world.finish()
    volume = world.volume(volume_id)
    assert volume is not None
    assert volume.status == "error"
    (message,) = messages(world)
    assert message.user_message == (
        "create volume from backend storage:Driver failed to create the volume."
    )
    assert message.request_id == world.flow_of(volume_id).request_id


def test_an_extend_that_fails_and_one_that_is_refused(world: World) -> None:
    volume_id = world.create(2)
    world.settle()
    world.extend(volume_id, 1)
    world.finish()
    assert messages(world) == []
    world.extend(volume_id, TOO_LARGE)
    world.finish()
    assert [message.event_id for message in messages(world)] == ["VOLUME_VOLUME_007_003"]


@pytest.mark.parametrize(
    ("kind", "error", "expected"),
    [
        ("volume.create", {"type": "NoValidBackend", "step": "schedule"}, ("001", "003")),
        ("volume.create", {"step": "create"}, ("008", "012")),
        ("volume.extend", {"step": "extend"}, ("007", "010")),
        ("snapshot.create", {}, ("009", "013")),
        ("snapshot.delete", {}, ("010", "016")),
        ("volume.revert", {}, ("000", "001")),
    ],
)
def test_the_codes_are_cinders(kind: str, error: dict[str, str], expected: tuple[str, str]) -> None:
    assert codes(kind, error) == expected
