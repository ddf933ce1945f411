"""Which type a volume gets, and which it cannot have: the first step of a create."""

from db.models import DefaultVolumeType, VolumeType, VolumeTypeAccess, VolumeTypeEncryption, new_id
from tests.harness import PROJECT, World


def volume_type(world: World, name: str, **columns: object) -> str:
    with world.writing() as tx:
        row = VolumeType(id=new_id(), name=name, **columns)
        tx.add(row)
        return row.id


def type_of(world: World, volume_id: str) -> str | None:
    volume = world.volume(volume_id)
    assert volume is not None
    return volume.volume_type_id


def test_a_volume_that_names_no_type_gets_the_projects_default(world: World) -> None:
    fast, slow = volume_type(world, "fast"), volume_type(world, "slow")
    with world.writing() as tx:
        tx.add(DefaultVolumeType(project_id=PROJECT, volume_type_id=fast))
    mine, named, others = (
        world.create(),
        world.create(volume_type="slow"),
        world.create(project="other"),
    )
    world.finish()
    assert type_of(world, mine) == fast
    assert type_of(world, named) == slow
    assert type_of(world, others) not in (fast, slow)


def test_an_id_comes_before_the_same_name(world: World) -> None:
    fast = volume_type(world, "fast")
    volume_type(world, fast)
    volume_id = world.create(volume_type=fast)
    world.finish()
    assert type_of(world, volume_id) == fast


def test_a_private_type_is_not_found(world: World) -> None:
    hidden = volume_type(world, "hidden", is_public=False)
    refused = world.create(volume_type="hidden")
    world.finish()
    assert world.volume(refused) is None
    assert world.flow_of(refused).error is not None
    with world.writing() as tx:
        tx.add(VolumeTypeAccess(volume_type_id=hidden, project_id=PROJECT))
    volume_id = world.create(volume_type="hidden")
    world.finish()
    assert type_of(world, volume_id) == hidden


def test_a_volume_of_an_encrypted_type_is_refused(world: World) -> None:
    """There is no key manager: it would be one in clear."""
    secret = volume_type(world, "secret")
    with world.writing() as tx:
        tx.add(
            VolumeTypeEncryption(
                volume_type_id=secret, provider="luks", control_location="front-end"
            )
        )
    volume_id = world.create(volume_type="secret")
    world.finish()
    assert world.volume(volume_id) is None
    error = world.flow_of(volume_id).error
    assert error is not None
    assert (error["status"], "key manager" in error["message"]) == (400, True)
