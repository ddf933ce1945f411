"""Groups: their volumes are in one place, come, are snapshotted, copied and go together."""

from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import select

from db import groups, quota_limits
from db.models import Group, GroupSnapshot, GroupType, Snapshot, Volume, VolumeType, new_id
from db.models.flow import FAILED, REFUSED, SUCCEEDED
from db.transitions import InvalidStatus
from tests.harness import PROJECT, World


@pytest.fixture
def type_id(world: World) -> str:
    with world.reading() as tx:
        return tx.scalars(select(VolumeType.id)).one()


@pytest.fixture
def group_type_id(world: World) -> str:
    with world.writing() as tx:
        group_type = GroupType(name=f"g-{new_id()}")
        tx.add(group_type)
        tx.flush()
        return group_type.id


@pytest.fixture
def group_id(world: World, type_id: str, group_type_id: str) -> str:
    return create(world, {"group_type": group_type_id, "volume_types": [type_id]})


def create(world: World, asked: dict[str, Any]) -> str:
    group_id = new_id()
    world.submit("group.create", group_id, asked)
    world.settle()
    return group_id


def with_volumes(world: World, group_id: str, count: int = 2) -> list[str]:
    made = [world.create(1, group_id=group_id) for _ in range(count)]
    world.settle()
    return made


def snapshot(world: World, group_id: str) -> str:
    snapshot_id = new_id()
    world.submit("group_snapshot.create", snapshot_id, {"group_id": group_id})
    world.settle()
    return snapshot_id


def fail(world: World, **calls: Any) -> None:
    for node in world.nodes.values():
        node.fail(**calls)


def row(world: World, model: type[Group] | type[GroupSnapshot], row_id: str) -> Any:
    with world.reading() as tx:
        return tx.get(model, row_id)


def members(world: World, group_id: str) -> Sequence[Volume]:
    with world.reading() as tx:
        return tx.scalars(select(Volume).where(Volume.group_id == group_id)).all()


def test_its_volumes_are_on_its_backend(world: World, group_id: str) -> None:
    with_volumes(world, group_id, 4)
    group = row(world, Group, group_id)
    assert group.status == "available"
    assert {groups.backend_of(v.host) for v in members(world, group_id)} == {group.host}
    world.finish()


def test_a_volume_of_another_type_is_refused(world: World, group_id: str) -> None:
    with world.writing() as tx:
        other = VolumeType(name=f"t-{new_id()}")
        tx.add(other)
        tx.flush()
        other_id = other.id
    volume_id = world.create(1, group_id=group_id, volume_type=other_id)
    world.finish()
    assert world.volume(volume_id) is None
    assert "must be supported by this group" in str(world.flow_of(volume_id).error)


def test_without_a_backend_for_its_types_it_is_in_error_and_uncharged(
    world: World, type_id: str
) -> None:
    with world.writing() as tx:
        demanding = GroupType(name=f"g-{new_id()}", group_specs={"unheard_of": "<is> True"})
        tx.add(demanding)
        tx.flush()
        wanted = demanding.id
    group_id = create(world, {"group_type": wanted, "volume_types": [type_id]})
    world.finish()
    group = row(world, Group, group_id)
    assert (group.status, group.charged_count) == ("error", 0)


def test_more_groups_than_the_quota_has_are_refused(
    world: World, group_id: str, type_id: str, group_type_id: str
) -> None:
    with world.writing() as tx:
        quota_limits.set_project_limits(tx, PROJECT, {"groups": 1})
    second = create(world, {"group_type": group_type_id, "volume_types": [type_id]})
    world.finish()
    assert row(world, Group, second) is None
    assert world.flow_of(second, "group.create").state == REFUSED


def test_its_delete_takes_its_volumes_along_or_is_refused(world: World, group_id: str) -> None:
    volumes = with_volumes(world, group_id)
    refused = world.submit("group.delete", group_id, {})
    world.settle()
    assert world.flow(refused).state == REFUSED
    assert row(world, Group, group_id).status == "available"

    world.delete(volumes[0])
    world.settle()
    assert world.volume(volumes[0]) is not None

    world.submit("group.delete", group_id, {"delete_volumes": True})
    world.finish()
    assert row(world, Group, group_id) is None
    assert not members(world, group_id)


def test_a_volume_that_cannot_go_leaves_the_group_in_error(world: World, group_id: str) -> None:
    with_volumes(world, group_id)
    fail(world, delete=[{"fault": "fail_before", "times": 1}])
    parked = world.submit("group.delete", group_id, {"delete_volumes": True})
    world.run()
    assert row(world, Group, group_id).status == "error"
    assert len(members(world, group_id)) == 1
    assert world.flow(parked).state == SUCCEEDED

    world.settle()  # its node answers, and the last volume goes
    world.submit("group.delete", group_id, {})
    world.finish()
    assert row(world, Group, group_id) is None


def test_a_snapshot_of_it_is_one_of_each_volume(world: World, group_id: str) -> None:
    volumes = with_volumes(world, group_id)
    snapshot_id = snapshot(world, group_id)
    assert row(world, GroupSnapshot, snapshot_id).status == "available"
    with world.reading() as tx:
        found = groups.snapshots(tx, snapshot_id)
    assert {one.volume_id for one in found} == set(volumes)

    alone = world.submit("snapshot.delete", found[0].id, {})
    of_group = world.submit("group.delete", group_id, {"delete_volumes": True})
    world.settle()
    assert [world.flow(flow).state for flow in (alone, of_group)] == [REFUSED, REFUSED]

    world.submit("group_snapshot.delete", snapshot_id, {})
    world.finish()
    assert row(world, GroupSnapshot, snapshot_id) is None
    with world.reading() as tx:
        assert tx.scalars(select(Snapshot)).first() is None


def test_an_empty_group_has_nothing_to_snapshot(world: World, group_id: str) -> None:
    snapshot_id = snapshot(world, group_id)
    world.finish()
    assert row(world, GroupSnapshot, snapshot_id) is None


@pytest.mark.parametrize("origin", ["group_snapshot_id", "source_group_id"])
def test_it_is_made_from_another_or_a_snapshot_of_one(
    world: World, group_id: str, origin: str
) -> None:
    with_volumes(world, group_id)
    source = group_id if origin == "source_group_id" else snapshot(world, group_id)
    made = create(world, {origin: source})
    world.finish()
    copy, original = row(world, Group, made), row(world, Group, group_id)
    assert (copy.status, copy.host) == ("available", original.host)
    assert {volume.status for volume in members(world, made)} == {"available"}
    assert len(members(world, made)) == 2


def test_a_copy_that_fails_leaves_the_group_in_error(world: World, group_id: str) -> None:
    with_volumes(world, group_id)
    fail(world, create_clone=[{"fault": "fail_before", "times": -1}])
    made = create(world, {"source_group_id": group_id})
    world.finish()
    assert row(world, Group, made).status == "error"
    assert world.flow_of(made, "group.create").state == SUCCEEDED
    assert {volume.status for volume in members(world, made)} == {"error"}


def test_what_works_on_its_volumes_keeps_it(world: World, group_id: str) -> None:
    with_volumes(world, group_id)
    world.submit("group_snapshot.create", new_id(), {"group_id": group_id})
    world.run(lambda delivery: delivery.task == "snapshot.create.create")
    with pytest.raises(InvalidStatus), world.writing() as tx:
        groups.change_members(tx, group_id, remove=[members(world, group_id)[0].id])
    late = world.submit("group.delete", group_id, {"delete_volumes": True})
    world.finish()
    assert world.flow(late).state in (REFUSED, FAILED)
    assert row(world, Group, group_id).status == "available"
