"""The contract of connections, and of objects that become ours, as tests to inherit from."""

import uuid

import pytest

from drivers.base import Connects, Driver, Manages, ObjectRef, SnapshotRef, Snapshots, VolumeRef
from drivers.errors import DriverError, InvalidConnector, InvalidReference
from drivers.names import What, is_ours
from tests.drivers.contract import DriverContract, volume_in
from tests.drivers.copies import SnapshotsContract, snapshot_of

CONNECTOR = {
    "host": "compute-1",
    "initiator": "iqn.1993-08.org.debian:01:0123456789ab",
    "ip": "192.0.2.7",
    "multipath": False,
    "os_type": "linux",
    "platform": "x86_64",
}


def ref(one: VolumeRef | SnapshotRef) -> ObjectRef:
    return ObjectRef(one.object_name, one.pool)


class ConnectsContract(DriverContract):
    """What holds for connections."""

    connector = CONNECTOR

    @pytest.fixture
    def connects(self, driver: Driver) -> Connects:
        assert isinstance(driver, Connects)
        return driver

    def test_connecting_answers_the_same_again_and_disconnecting_may_be_repeated(
        self, driver: Driver, connects: Connects
    ) -> None:
        volume, name = volume_in(driver), f"attachment-{uuid.uuid4()}"
        driver.create(volume)

        first = connects.connect(volume, name, self.connector, "ro")

        assert first["driver_volume_type"]
        assert first["data"]["access_mode"] == "ro"
        assert connects.connect(volume, name, self.connector, "ro") == first
        connects.disconnect(volume, name, self.connector)
        connects.disconnect(volume, name, None)
        assert connects.connect(volume, name, self.connector, "rw")["data"]["access_mode"] == "rw"
        connects.disconnect(volume, name, None)
        driver.delete(volume)

    def test_a_connector_that_says_too_little_is_refused_with_what_it_lacks(
        self, driver: Driver, connects: Connects
    ) -> None:
        volume = volume_in(driver)
        driver.create(volume)

        with pytest.raises(InvalidConnector) as refused:
            connects.connect(volume, volume.object_name, {"platform": "x86_64"}, "rw")

        assert refused.value.left == "clean"
        assert any(key in refused.value.reason for key in self.connector)

    def test_what_is_not_there_is_not_connected_and_is_disconnected_already(
        self, driver: Driver, connects: Connects
    ) -> None:
        volume, name = volume_in(driver), f"attachment-{uuid.uuid4()}"

        with pytest.raises(DriverError) as refused:
            connects.connect(volume, name, self.connector, "rw")
        connects.disconnect(volume, name, self.connector)

        assert refused.value.left == "clean"


class ManagesContract(SnapshotsContract):
    """What holds for objects that become ours, and cease to be."""

    @pytest.fixture
    def manages(self, driver: Driver) -> Manages:
        assert isinstance(driver, Manages)
        return driver

    def listed(self, manages: Manages, what: What = "volumes") -> dict[str, tuple[int, str | None]]:
        """Size and reason by the name that a reference has."""
        return {
            one.reference["source-name"]: (one.size_gib, one.reason)
            for one in manages.manageable(what)
        }

    def released(self, driver: Driver, manages: Manages, size_gib: int = 1) -> str:
        """The name of an object that is not ours."""
        volume = volume_in(driver, size_gib)
        driver.create(volume)
        before = self.listed(manages)
        manages.release(ObjectRef(volume.object_name, volume.pool))
        (name,) = self.listed(manages).keys() - before.keys()
        return name

    def test_what_is_released_is_not_ours_and_can_be_adopted(
        self, driver: Driver, manages: Manages
    ) -> None:
        name = self.released(driver, manages, 2)
        assert not is_ours(name)
        assert list(driver.objects()) == []
        assert self.listed(manages) == {name: (2, None)}
        volume = volume_in(driver, 2)

        adopted = manages.adopt(ref(volume), {"source-name": name})
        again = manages.adopt(ref(volume), {"source-name": name})

        assert adopted == again
        assert (adopted.size_gib, driver.size_of(volume)) == (2, 2)
        assert adopted.provider_location == driver.create(volume).provider_location
        assert self.listed(manages) == {volume.object_name: (2, "already managed")}

    def test_a_release_may_be_repeated_and_gives_back_a_former_name(
        self, driver: Driver, manages: Manages
    ) -> None:
        name, volume = self.released(driver, manages), volume_in(driver)
        manages.adopt(ref(volume), {"source-name": name})

        manages.release(ref(volume), name)
        manages.release(ref(volume), name)

        assert self.listed(manages) == {name: (1, None)}

    def test_a_former_name_that_is_taken_is_not_given_back(
        self, driver: Driver, manages: Manages
    ) -> None:
        name, volume = self.released(driver, manages), volume_in(driver)
        driver.create(volume)

        manages.release(ref(volume), name)

        assert len(self.listed(manages)) == 2
        assert list(driver.objects()) == []

    def test_snapshots_are_released_and_adopted_too(
        self, driver: Driver, snapshots: Snapshots, manages: Manages
    ) -> None:
        volume = volume_in(driver)
        driver.create(volume)
        old, new = snapshot_of(volume), snapshot_of(volume)
        snapshots.create_snapshot(old, volume)
        assert self.listed(manages, "snapshots") == {old.object_name: (1, "already managed")}

        manages.release(ref(old))
        (name,) = self.listed(manages, "snapshots")
        manages.adopt(ref(new), {"source-name": name})

        assert sorted(driver.objects()) == [(new.object_name, 1), (volume.object_name, 1)]
        assert self.listed(manages, "snapshots") == {new.object_name: (1, "already managed")}

    def test_what_is_ours_or_is_not_there_is_not_adopted(
        self, driver: Driver, manages: Manages
    ) -> None:
        volume = volume_in(driver)
        driver.create(volume)

        for reference in (
            {"source-name": volume.object_name},
            {"source-name": "nothing"},
            {"source-name": ""},
            {"source-id": "1"},
            {},
        ):
            with pytest.raises(InvalidReference) as refused:
                manages.adopt(ref(volume_in(driver)), reference)
            assert refused.value.left == "clean"

        assert list(driver.objects()) == [(volume.object_name, 1)]

    def test_adopting_under_a_name_that_is_taken_is_refused(
        self, driver: Driver, manages: Manages
    ) -> None:
        name, volume = self.released(driver, manages, 2), volume_in(driver, 1)
        driver.create(volume)

        with pytest.raises(DriverError) as refused:
            manages.adopt(ref(volume), {"source-name": name})

        assert refused.value.left == "clean"
        assert driver.size_of(volume) == 1
        assert self.listed(manages)[name] == (2, None)
