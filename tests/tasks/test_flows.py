"""Volumes through the real chain, without and with the commonest troubles."""

from tests.harness import World


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
