"""The contract of every driver, as tests to inherit from.

    class TestMine(DriverContract):
        @pytest.fixture
        def driver(self, tmp_path): ...

        def leave_half_made(self, driver, volume): ...

A driver whose volumes hold bytes inherits `DataContract` beside it; one whose volumes outlive
its process inherits `PersistentContract`.
"""

import dataclasses
import json
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from drivers.base import Driver, VolumeRef
from drivers.errors import DriverError


def volume_in(driver: Driver, size_gib: int = 1, *, generation: int = 0) -> VolumeRef:
    """A volume that nobody has seen before, in the first pool."""
    volume_id = str(uuid.uuid4())
    name = f"volume-{volume_id}.{generation}" if generation else f"volume-{volume_id}"
    return VolumeRef(name, volume_id, size_gib, driver.report()[0].name)


class DriverContract:
    """What holds for every driver."""

    threads = 8

    @pytest.fixture
    def driver(self) -> Driver:
        """A driver on an empty back end with room for a few GiB."""
        raise NotImplementedError

    def leave_half_made(self, driver: Driver, volume: VolumeRef) -> None:
        """Leave what a create of this volume leaves when it dies or fails dirty."""
        raise NotImplementedError

    def test_an_empty_back_end_works_and_holds_nothing(self, driver: Driver) -> None:
        driver.check()
        assert list(driver.objects()) == []

    def test_a_report_names_each_pool_once_and_fits_into_json(self, driver: Driver) -> None:
        pools = driver.report()

        assert pools
        assert len({pool.name for pool in pools}) == len(pools)
        for pool in pools:
            assert "#" not in pool.name
            assert "@" not in pool.name
            assert json.loads(json.dumps(dataclasses.asdict(pool))) == dataclasses.asdict(pool)
            for said in (
                "storage_protocol",
                "vendor_name",
                "driver_version",
                "volume_backend_name",
            ):
                assert isinstance(pool.capabilities[said], str)

    def test_the_numbers_of_a_report_are_possible(self, driver: Driver) -> None:
        for pool in driver.report():
            assert 0 <= pool.free_gib <= pool.total_gib
            assert 0 <= pool.foreign_gib <= pool.total_gib
            assert 0 <= pool.limit_gib <= pool.total_gib * pool.max_over_subscription_ratio
            assert pool.thin or pool.thick
            assert pool.thin or pool.max_over_subscription_ratio == 1

    def test_a_created_volume_is_there_with_its_size(self, driver: Driver) -> None:
        volume = volume_in(driver, 2)

        created = driver.create(volume)

        assert created.provider_location
        assert driver.size_of(volume) == 2
        assert list(driver.objects()) == [(volume.object_name, 2)]

    def test_creating_again_changes_nothing_and_answers_the_same(self, driver: Driver) -> None:
        volume = volume_in(driver)
        first = driver.create(volume)

        assert driver.create(volume) == first
        assert list(driver.objects()) == [(volume.object_name, 1)]

    def test_creating_over_another_size_is_refused_and_touches_nothing(
        self, driver: Driver
    ) -> None:
        volume = volume_in(driver, 1)
        driver.create(volume)

        with pytest.raises(DriverError) as refused:
            driver.create(dataclasses.replace(volume, size_gib=2))

        assert refused.value.left == "clean"
        assert driver.size_of(volume) == 1

    def test_creating_in_a_pool_that_is_not_here_is_refused(self, driver: Driver) -> None:
        volume = dataclasses.replace(volume_in(driver), pool="no-such-pool")

        with pytest.raises(DriverError) as refused:
            driver.create(volume)

        assert refused.value.left == "clean"
        assert list(driver.objects()) == []

    def test_a_deleted_volume_is_gone_and_may_be_deleted_again(self, driver: Driver) -> None:
        volume, other = volume_in(driver), volume_in(driver)
        driver.create(volume)
        driver.create(other)

        driver.delete(volume)
        driver.delete(volume)

        assert driver.size_of(volume) is None
        assert list(driver.objects()) == [(other.object_name, 1)]

    def test_deleting_what_never_was_succeeds(self, driver: Driver) -> None:
        driver.delete(volume_in(driver))

    def test_a_volume_may_be_made_again_after_it_was_deleted(self, driver: Driver) -> None:
        volume = volume_in(driver)
        driver.create(volume)
        driver.delete(volume)

        driver.create(volume)

        assert driver.size_of(volume) == 1

    def test_extending_grows_and_may_be_repeated(self, driver: Driver) -> None:
        volume = volume_in(driver, 1)
        driver.create(volume)

        driver.extend(volume, 2)
        driver.extend(volume, 2)

        assert driver.size_of(volume) == 2
        assert list(driver.objects()) == [(volume.object_name, 2)]

    def test_extending_never_shrinks(self, driver: Driver) -> None:
        volume = volume_in(driver, 2)
        driver.create(volume)

        driver.extend(volume, 1)

        assert driver.size_of(volume) == 2

    def test_extending_what_is_not_there_is_refused_and_makes_nothing(self, driver: Driver) -> None:
        with pytest.raises(DriverError) as refused:
            driver.extend(volume_in(driver), 2)

        assert refused.value.left == "clean"
        assert list(driver.objects()) == []

    @pytest.mark.parametrize("size", [0, -1, 2**33, True])
    def test_extending_to_an_impossible_size_is_refused(self, driver: Driver, size: int) -> None:
        volume = volume_in(driver)
        driver.create(volume)

        with pytest.raises(DriverError) as refused:
            driver.extend(volume, size)

        assert refused.value.left == "clean"
        assert driver.size_of(volume) == 1

    def test_generations_of_a_volume_are_different_objects(self, driver: Driver) -> None:
        first = volume_in(driver)
        second = dataclasses.replace(first, object_name=f"{first.object_name}.1")
        driver.create(first)
        driver.create(second)

        driver.delete(first)

        assert list(driver.objects()) == [(second.object_name, 1)]

    def test_what_was_left_half_made_is_listed(self, driver: Driver) -> None:
        volume, whole = volume_in(driver), volume_in(driver)
        driver.create(whole)

        self.leave_half_made(driver, volume)

        names = [name for name, _ in driver.objects()]
        assert sorted(names) == sorted([volume.object_name, whole.object_name])

    def test_what_was_left_half_made_can_be_deleted(self, driver: Driver) -> None:
        volume = volume_in(driver)
        self.leave_half_made(driver, volume)

        driver.delete(volume)

        assert list(driver.objects()) == []

    def test_what_was_left_half_made_can_be_finished(self, driver: Driver) -> None:
        volume = volume_in(driver)
        self.leave_half_made(driver, volume)

        driver.create(volume)

        assert driver.size_of(volume) == 1
        assert list(driver.objects()) == [(volume.object_name, 1)]

    def test_many_threads_work_on_their_own_volumes(self, driver: Driver) -> None:
        kept = [volume_in(driver) for _ in range(self.threads)]

        def live(volume: VolumeRef) -> None:
            passing = volume_in(driver)
            driver.create(passing)
            driver.create(volume)
            driver.report()
            driver.extend(volume, 2)
            driver.delete(passing)

        with ThreadPoolExecutor(self.threads) as pool:
            list(pool.map(live, kept))

        assert sorted(driver.objects()) == sorted((volume.object_name, 2) for volume in kept)
        for volume in kept:
            assert driver.size_of(volume) == 2


class PersistentContract(DriverContract):
    """What holds when the node's process ends and starts again."""

    def restarted(self, driver: Driver) -> Driver:
        return type(driver)(driver.backend, driver.options)

    def test_volumes_outlive_the_process(self, driver: Driver) -> None:
        volume = volume_in(driver, 2)
        driver.create(volume)

        after = self.restarted(driver)

        after.check()
        assert list(after.objects()) == [(volume.object_name, 2)]
        after.create(volume)
        after.delete(volume)
        assert list(after.objects()) == []


class DataContract(PersistentContract):
    """What holds for the bytes in a volume."""

    def write(self, driver: Driver, volume: VolumeRef, offset: int, data: bytes) -> None:
        raise NotImplementedError

    def read(self, driver: Driver, volume: VolumeRef, offset: int, length: int) -> bytes:
        raise NotImplementedError

    def test_a_new_volume_reads_as_zeros(self, driver: Driver) -> None:
        volume = volume_in(driver)
        driver.create(volume)

        assert self.read(driver, volume, 0, 65536) == bytes(65536)
        assert self.read(driver, volume, 2**30 - 65536, 65536) == bytes(65536)

    def test_written_bytes_survive_an_extend_and_a_repeated_create(self, driver: Driver) -> None:
        volume = volume_in(driver)
        driver.create(volume)
        head, tail = bytes(range(256)) * 256, b"\xa5" * 65536
        self.write(driver, volume, 0, head)
        self.write(driver, volume, 2**30 - 65536, tail)

        driver.create(volume)
        driver.extend(volume, 2)

        assert self.read(driver, volume, 0, 65536) == head
        assert self.read(driver, volume, 2**30 - 65536, 65536) == tail
        assert self.read(driver, volume, 2**31 - 65536, 65536) == bytes(65536)
        self.write(driver, volume, 2**31 - 65536, tail)
        assert self.read(driver, volume, 2**31 - 65536, 65536) == tail
