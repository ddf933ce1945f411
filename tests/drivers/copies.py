"""The contract of snapshots, clones and reverts, as tests to inherit from.

One class for each ability, and `CopyDataContract` for a driver that has all three and whose volumes
hold bytes.
"""

import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from drivers.base import ABILITIES, Clones, Driver, Reverts, SnapshotRef, Snapshots, VolumeRef
from drivers.errors import DriverError
from tests.drivers.contract import DataContract, DriverContract, volume_in


def snapshot_of(volume: VolumeRef) -> SnapshotRef:
    """A snapshot that nobody has seen before."""
    return SnapshotRef(f"snapshot-{uuid.uuid4()}", volume.size_gib, volume.pool)


class SnapshotsContract(DriverContract):
    """What holds for snapshots, and for volumes made from them."""

    @pytest.fixture
    def snapshots(self, driver: Driver) -> Snapshots:
        assert isinstance(driver, Snapshots)
        return driver

    def leave_half_made_snapshot(self, driver: Driver, snapshot: SnapshotRef) -> None:
        """Leave what a create of this snapshot leaves when it dies or fails dirty."""
        raise NotImplementedError

    def test_the_report_says_what_it_can(self, driver: Driver) -> None:
        for pool in driver.report():
            for ability, kind in ABILITIES.items():
                assert pool.capabilities[ability] is isinstance(driver, kind)
            for ability in ("multiattach", "online_extend"):
                assert isinstance(pool.capabilities[ability], bool)
            grows = pool.capabilities["online_extend"]
            assert pool.capabilities["online_extend_support"] is grows

    def test_a_snapshot_is_listed_beside_its_volume(
        self, driver: Driver, snapshots: Snapshots
    ) -> None:
        volume = volume_in(driver, 2)
        driver.create(volume)
        snapshot = snapshot_of(volume)

        first = snapshots.create_snapshot(snapshot, volume)
        again = snapshots.create_snapshot(snapshot, volume)

        assert first == again
        assert first.provider_location
        assert sorted(driver.objects()) == [(snapshot.object_name, 2), (volume.object_name, 2)]

    def test_a_snapshot_of_nothing_is_refused(self, driver: Driver, snapshots: Snapshots) -> None:
        volume = volume_in(driver)

        with pytest.raises(DriverError) as refused:
            snapshots.create_snapshot(snapshot_of(volume), volume)

        assert refused.value.left == "clean"
        assert list(driver.objects()) == []

    def test_a_deleted_snapshot_is_gone_and_may_be_deleted_again(
        self, driver: Driver, snapshots: Snapshots
    ) -> None:
        volume = volume_in(driver)
        driver.create(volume)
        snapshot, other = snapshot_of(volume), snapshot_of(volume)
        snapshots.create_snapshot(snapshot, volume)
        snapshots.create_snapshot(other, volume)

        snapshots.delete_snapshot(snapshot, volume)
        snapshots.delete_snapshot(snapshot, volume)

        assert sorted(driver.objects()) == [(other.object_name, 1), (volume.object_name, 1)]

    def test_a_half_made_snapshot_is_listed_finished_and_deleted(
        self, driver: Driver, snapshots: Snapshots
    ) -> None:
        volume = volume_in(driver)
        driver.create(volume)
        finished, deleted = snapshot_of(volume), snapshot_of(volume)
        for snapshot in (finished, deleted):
            self.leave_half_made_snapshot(driver, snapshot)
        names = {name for name, _ in driver.objects()}
        assert names == {volume.object_name, finished.object_name, deleted.object_name}

        snapshots.create_snapshot(finished, volume)
        snapshots.delete_snapshot(deleted, volume)

        assert sorted(driver.objects()) == [(finished.object_name, 1), (volume.object_name, 1)]

    def test_a_volume_from_a_snapshot_may_be_larger_and_may_be_asked_for_again(
        self, driver: Driver, snapshots: Snapshots
    ) -> None:
        volume, made = volume_in(driver, 1), volume_in(driver, 2)
        driver.create(volume)
        snapshot = snapshot_of(volume)
        snapshots.create_snapshot(snapshot, volume)

        first = snapshots.create_from_snapshot(made, snapshot)

        assert snapshots.create_from_snapshot(made, snapshot) == first
        assert driver.size_of(made) == 2
        # What is there already does not need its source any more.
        snapshots.delete_snapshot(snapshot, volume)
        assert snapshots.create_from_snapshot(made, snapshot) == first

    def test_a_volume_from_a_snapshot_that_is_not_there_or_too_large_is_refused(
        self, driver: Driver, snapshots: Snapshots
    ) -> None:
        volume = volume_in(driver, 2)
        driver.create(volume)
        large = snapshot_of(volume)
        snapshots.create_snapshot(large, volume)
        before = sorted(driver.objects())

        for snapshot in (large, snapshot_of(volume)):
            with pytest.raises(DriverError) as refused:
                snapshots.create_from_snapshot(volume_in(driver, 1), snapshot)
            assert refused.value.left == "clean"

        assert sorted(driver.objects()) == before

    def test_volume_and_snapshot_may_go_in_any_order(
        self, driver: Driver, snapshots: Snapshots
    ) -> None:
        volume, made = volume_in(driver), volume_in(driver)
        driver.create(volume)
        snapshot = snapshot_of(volume)
        snapshots.create_snapshot(snapshot, volume)
        snapshots.create_from_snapshot(made, snapshot)

        snapshots.delete_snapshot(snapshot, volume)
        driver.delete(volume)

        assert list(driver.objects()) == [(made.object_name, 1)]

    def test_many_volumes_are_made_from_one_snapshot_at_once(
        self, driver: Driver, snapshots: Snapshots
    ) -> None:
        volume = volume_in(driver)
        driver.create(volume)
        snapshot = snapshot_of(volume)
        snapshots.create_snapshot(snapshot, volume)
        made = [volume_in(driver) for _ in range(self.threads)]

        with ThreadPoolExecutor(self.threads) as pool:
            list(pool.map(lambda one: snapshots.create_from_snapshot(one, snapshot), made))

        assert [driver.size_of(one) for one in made] == [1] * self.threads


class ClonesContract(DriverContract):
    """What holds for volumes made from volumes."""

    @pytest.fixture
    def clones(self, driver: Driver) -> Clones:
        assert isinstance(driver, Clones)
        return driver

    def test_a_clone_may_be_larger_and_may_be_asked_for_again(
        self, driver: Driver, clones: Clones
    ) -> None:
        source, made = volume_in(driver, 1), volume_in(driver, 2)
        driver.create(source)

        first = clones.create_clone(made, source)
        driver.delete(source)

        assert clones.create_clone(made, source) == first
        assert list(driver.objects()) == [(made.object_name, 2)]

    def test_a_clone_of_what_is_not_there_or_too_large_is_refused(
        self, driver: Driver, clones: Clones
    ) -> None:
        large = volume_in(driver, 2)
        driver.create(large)

        for source in (large, volume_in(driver)):
            with pytest.raises(DriverError) as refused:
                clones.create_clone(volume_in(driver, 1), source)
            assert refused.value.left == "clean"

        assert list(driver.objects()) == [(large.object_name, 2)]


class RevertsContract(SnapshotsContract):
    """What holds for a volume that becomes again what it was."""

    @pytest.fixture
    def reverts(self, driver: Driver) -> Reverts:
        assert isinstance(driver, Reverts)
        return driver

    def test_a_revert_keeps_the_snapshot_and_may_be_repeated(
        self, driver: Driver, snapshots: Snapshots, reverts: Reverts
    ) -> None:
        volume = volume_in(driver)
        driver.create(volume)
        snapshot = snapshot_of(volume)
        snapshots.create_snapshot(snapshot, volume)
        driver.extend(volume, 2)

        reverts.revert(volume, snapshot)
        reverts.revert(volume, snapshot)

        assert sorted(driver.objects()) == [(snapshot.object_name, 1), (volume.object_name, 2)]

    def test_a_revert_without_volume_or_snapshot_is_refused_and_changes_nothing(
        self, driver: Driver, snapshots: Snapshots, reverts: Reverts
    ) -> None:
        volume = volume_in(driver)
        driver.create(volume)
        snapshot = snapshot_of(volume)
        snapshots.create_snapshot(snapshot, volume)

        for one, other in ((volume, snapshot_of(volume)), (volume_in(driver), snapshot)):
            with pytest.raises(DriverError) as refused:
                reverts.revert(one, other)
            assert refused.value.left == "clean"

        assert sorted(driver.objects()) == [(snapshot.object_name, 1), (volume.object_name, 1)]


class CopyDataContract(RevertsContract, ClonesContract, DataContract):
    """What holds for the bytes of snapshots, clones and volumes that are reverted."""

    head, tail, other = bytes(range(256)) * 256, b"\xa5" * 65536, b"\x3c" * 65536

    @pytest.fixture
    def written(self, driver: Driver) -> VolumeRef:
        """A volume with something at its start and at its end."""
        volume = volume_in(driver)
        driver.create(volume)
        self.write(driver, volume, 0, self.head)
        self.write(driver, volume, 2**30 - 65536, self.tail)
        return volume

    def holds_what_was_written(self, driver: Driver, volume: VolumeRef) -> bool:
        return (
            self.read(driver, volume, 0, 65536) == self.head
            and self.read(driver, volume, 65536, 65536) == bytes(65536)
            and self.read(driver, volume, 2**30 - 65536, 65536) == self.tail
        )

    def test_a_volume_from_a_snapshot_has_what_the_volume_had(
        self, driver: Driver, snapshots: Snapshots, written: VolumeRef
    ) -> None:
        snapshot = snapshot_of(written)
        snapshots.create_snapshot(snapshot, written)
        self.write(driver, written, 0, self.other)
        snapshots.create_snapshot(snapshot, written)  # again, and nothing changes
        first, second = volume_in(driver), volume_in(driver, 2)

        snapshots.create_from_snapshot(first, snapshot)
        self.write(driver, first, 0, self.other)
        snapshots.create_from_snapshot(second, snapshot)

        assert self.read(driver, written, 0, 65536) == self.other
        assert self.read(driver, first, 0, 65536) == self.other
        assert self.holds_what_was_written(driver, second)
        assert self.read(driver, second, 2**31 - 65536, 65536) == bytes(65536)
        self.write(driver, second, 2**31 - 65536, self.tail)
        assert self.read(driver, second, 2**31 - 65536, 65536) == self.tail

    def test_a_clone_has_what_its_source_has_and_goes_its_own_way(
        self, driver: Driver, clones: Clones, written: VolumeRef
    ) -> None:
        clone = volume_in(driver, 2)

        clones.create_clone(clone, written)
        self.write(driver, written, 0, self.other)
        clones.create_clone(clone, written)  # again, and nothing changes

        assert self.holds_what_was_written(driver, clone)
        assert self.read(driver, clone, 2**31 - 65536, 65536) == bytes(65536)

    def test_a_revert_brings_everything_back_and_leaves_the_rest_as_zeros(
        self, driver: Driver, snapshots: Snapshots, reverts: Reverts, written: VolumeRef
    ) -> None:
        snapshot = snapshot_of(written)
        snapshots.create_snapshot(snapshot, written)
        driver.extend(written, 2)
        for offset in (0, 65536, 2**31 - 65536):
            self.write(driver, written, offset, self.other)

        for _ in range(2):
            reverts.revert(written, snapshot)
            assert self.holds_what_was_written(driver, written)
            assert self.read(driver, written, 2**31 - 65536, 65536) == bytes(65536)
            self.write(driver, written, 0, self.other)

    def test_a_revert_that_is_refused_leaves_what_was_written(
        self, driver: Driver, reverts: Reverts, written: VolumeRef
    ) -> None:
        with pytest.raises(DriverError):
            reverts.revert(written, snapshot_of(written))

        assert self.holds_what_was_written(driver, written)
