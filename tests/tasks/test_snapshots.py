"""Snapshots and what is made from them, on both databases: room, lost nodes, overrides."""

import pytest

from db import overrides
from db.models import Pool, Snapshot
from db.models.flow import FAILED, REFUSED, SUCCEEDED, SUPERSEDED
from db.transitions import BeingDestroyed
from tests.harness import World
from tests.storage_node import StorageNode


@pytest.fixture
def world(any_world: World) -> World:
    """Everything here runs on both databases."""
    return any_world


def a_volume(world: World, size: int = 2) -> str:
    volume_id = world.create(size)
    world.settle()
    return volume_id


def node_with(world: World, volume_id: str) -> StorageNode:
    volume = world.volume(volume_id)
    assert volume is not None
    return world.nodes[str(volume.host).partition("@")[0]]


def pool_of(world: World, volume_id: str) -> Pool:
    volume = world.volume(volume_id)
    assert volume is not None
    with world.reading() as tx:
        return tx.get_one(Pool, volume.pool_id)


def status(world: World, snapshot_id: str) -> str | None:
    snapshot = world.snapshot_row(snapshot_id)
    return snapshot.status if snapshot else None


def thick(world: World, volume_id: str, limit: float) -> None:
    """Have the pool of a volume give a snapshot its room at once, up to `limit` GiB in all."""
    with world.writing() as tx:
        pool = tx.get_one(Pool, pool_of(world, volume_id).id)
        pool.thin, pool.thick, pool.limit_gib = False, True, limit


def test_a_snapshot_takes_its_room_where_it_is_given_at_once(world: World) -> None:
    volume_id = a_volume(world)
    thick(world, volume_id, 5.0)
    first = world.snapshot(volume_id)
    world.finish()
    pool = pool_of(world, volume_id)
    assert (pool.taken_gib, pool.volumes) == (4, 1)

    second = world.snapshot(volume_id)
    world.finish()
    assert status(world, second) == "error"
    flow = world.flow_of(second, "snapshot.create")
    assert "No room for a snapshot of 2 GiB" in (flow.error or {})["message"]

    for snapshot_id in (first, second):
        world.delete_snapshot(snapshot_id)
    world.finish()
    assert pool_of(world, volume_id).taken_gib == 2


def test_a_snapshot_takes_no_room_where_it_grows_as_the_volume_changes(world: World) -> None:
    volume_id = a_volume(world)
    world.snapshot(volume_id)
    world.finish()
    assert pool_of(world, volume_id).taken_gib == 2


def test_what_a_lost_node_may_have_made_goes_when_it_is_back(world: World) -> None:
    volume_id = a_volume(world)
    node = node_with(world, volume_id)
    thick(world, volume_id, 10.0)
    snapshot_id = world.snapshot(volume_id)
    world.run(lambda delivery: delivery.task == "snapshot.create.create")
    node.die()
    world.settle()
    assert status(world, snapshot_id) == "error"
    (residue,) = world.residues()
    assert (residue.op["verb"], residue.gib) == ("destroy_snapshot", 2)
    assert residue.volume_id == snapshot_id

    node.start()
    world.finish()
    assert not world.residues()
    assert pool_of(world, volume_id).taken_gib == 2
    assert list(node.objects()) == [f"volume-{volume_id}"]


def test_a_delete_that_waits_for_a_node_ends_when_that_is_declared_gone(world: World) -> None:
    volume_id = a_volume(world)
    snapshot_id = world.snapshot(volume_id)
    world.settle()
    node = node_with(world, volume_id)
    node.die()
    flow_id = world.delete_snapshot(snapshot_id)
    world.settle()
    assert status(world, snapshot_id) == "error_deleting"
    with world.writing() as tx:
        overrides.forget_node(tx, node.host)
    world.settle()
    assert status(world, snapshot_id) is None
    assert world.flow(flow_id).state == SUPERSEDED
    world.delete(volume_id)
    world.settle()
    assert world.volume(volume_id) is None


def test_a_volume_from_a_snapshot_is_tried_again_where_the_snapshot_is(world: World) -> None:
    volume_id = a_volume(world)
    snapshot_id = world.snapshot(volume_id)
    world.settle()
    node_with(world, volume_id).fail(create_from_snapshot=[{"fault": "fail_after", "times": 2}])
    copy_id = world.create(3, snapshot_id=snapshot_id)
    world.finish()
    copy, original = world.volume(copy_id), world.volume(volume_id)
    assert copy is not None
    assert original is not None
    assert (copy.status, copy.generation, copy.host) == ("available", 2, original.host)


def test_a_volume_is_made_nowhere_but_beside_its_source(world: World) -> None:
    volume_id = a_volume(world)
    node_with(world, volume_id).die()
    for _ in range(4):
        world.tick()
    clone_id = world.create(None, source_volid=volume_id)
    world.settle()
    clone = world.volume(clone_id)
    assert clone is not None
    assert (clone.status, clone.size, clone.charged_gib) == ("error", 2, 0)
    error = world.flow_of(clone_id).error or {}
    reasons = {verdict["filter"] for verdict in error["pools"]}
    assert reasons == {"source", "service"}


def test_a_revert_that_lost_its_node_goes_on_when_it_is_back(world: World) -> None:
    volume_id = a_volume(world)
    snapshot_id = world.snapshot(volume_id)
    world.settle()
    node = node_with(world, volume_id)
    flow_id = world.revert(volume_id, snapshot_id)
    world.run(lambda delivery: delivery.task == "volume.revert.revert")
    node.die()
    world.settle()
    volume = world.volume(volume_id)
    assert volume is not None
    assert (volume.status, status(world, snapshot_id)) == ("error", "available")
    refused = world.delete_snapshot(snapshot_id)  # the volume will need it
    world.run()
    assert world.flow(refused).state == REFUSED

    node.start()
    world.finish()
    assert world.flow(flow_id).state == SUCCEEDED
    volume = world.volume(volume_id)
    assert volume is not None
    assert (volume.status, status(world, snapshot_id)) == ("available", "available")


def test_an_override_frees_the_snapshot_of_a_revert(world: World) -> None:
    volume_id = a_volume(world)
    snapshot_id = world.snapshot(volume_id)
    world.settle()
    flow_id = world.revert(volume_id, snapshot_id)
    world.run(lambda delivery: delivery.task == "volume.revert.revert")
    assert status(world, snapshot_id) == "restoring"
    with pytest.raises(BeingDestroyed), world.writing() as tx:
        overrides.reset_volume_status(tx, volume_id, "available")
    with world.writing() as tx:
        overrides.reset_volume_status(tx, volume_id, "error")
    world.finish()
    assert world.flow(flow_id).state == SUPERSEDED
    assert status(world, snapshot_id) == "available"


def test_a_driver_that_cannot_revert_leaves_everything_as_it_was(world: World) -> None:
    volume_id = a_volume(world)
    snapshot_id = world.snapshot(volume_id)
    world.settle()
    node_with(world, volume_id).fail(revert=[{"fault": "fail_before", "times": -1}])
    flow_id = world.revert(volume_id, snapshot_id)
    world.finish()
    assert world.flow(flow_id).state == FAILED
    volume = world.volume(volume_id)
    assert volume is not None
    assert (volume.status, status(world, snapshot_id)) == ("available", "available")


def test_a_request_that_is_refused_leaves_no_row(world: World) -> None:
    volume_id = a_volume(world)
    with world.writing() as tx:
        overrides.reset_volume_status(tx, volume_id, "error")
    snapshot_id = world.snapshot(volume_id)
    world.settle()
    assert world.flow_of(snapshot_id, "snapshot.create").state == REFUSED
    with world.reading() as tx:
        assert tx.get(Snapshot, snapshot_id) is None
