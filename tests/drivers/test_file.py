import json
import os
import shutil
import stat
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from drivers.base import GIB, Connects, Driver, SnapshotRef, VolumeRef
from drivers.errors import BackendUnavailable, DriverFailed, InvalidOptions
from drivers.folder import HALF_MADE, MARKER
from drivers.registry import load_backend
from tests.drivers.abilities import ConnectsContract, ManagesContract
from tests.drivers.contract import volume_in
from tests.drivers.copies import CopyDataContract


def file_backend(folder: Path, **options: Any) -> Driver:
    return load_backend("main", {"driver": "file", "folder": str(folder), **options})


def names_in(folder: Path) -> set[str]:
    return {one.name for one in folder.iterdir()}


def needs_qemu() -> None:
    if shutil.which("qemu-img") is None or shutil.which("qemu-io") is None:
        pytest.skip("needs qemu-img and qemu-io (apt: qemu-utils)")


def path_of(driver: Driver, volume: VolumeRef) -> Path:
    return Path(driver.options["folder"]) / volume.object_name


class FileContract(CopyDataContract, ConnectsContract, ManagesContract):
    """A file back end of one format and allocation, emptied afterwards."""

    options: ClassVar[dict[str, Any]]

    @pytest.fixture
    def driver(self, tmp_path: Path) -> Iterator[Driver]:
        yield file_backend(tmp_path / "volumes", **self.options)
        # Not left to pytest, which keeps the folders of three runs: these are gigabytes.
        shutil.rmtree(tmp_path)

    def leave_half_made(self, driver: Driver, volume: VolumeRef) -> None:
        driver.check()
        (Path(driver.options["folder"]) / (HALF_MADE + volume.object_name)).write_bytes(b"half")

    def leave_half_made_snapshot(self, driver: Driver, snapshot: SnapshotRef) -> None:
        (Path(driver.options["folder"]) / (HALF_MADE + snapshot.object_name)).write_bytes(b"half")

    def write(self, driver: Driver, volume: VolumeRef, offset: int, data: bytes) -> None:
        with path_of(driver, volume).open("r+b") as file:
            file.seek(offset)
            file.write(data)

    def read(self, driver: Driver, volume: VolumeRef, offset: int, length: int) -> bytes:
        with path_of(driver, volume).open("rb") as file:
            file.seek(offset)
            return file.read(length)

    def test_the_file_is_for_this_user_only_and_in_the_folder(self, driver: Driver) -> None:
        volume = volume_in(driver)

        created = driver.create(volume)

        path = path_of(driver, volume)
        assert created.provider_location == str(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert {one.name for one in path.parent.iterdir()} == {MARKER, volume.object_name}


class TestRawThin(FileContract):
    options: ClassVar[dict[str, Any]] = {"format": "raw", "allocation": "thin"}

    def test_a_volume_has_its_size_and_takes_no_room(self, driver: Driver) -> None:
        volume = volume_in(driver, 3)

        driver.create(volume)

        status = path_of(driver, volume).stat()
        assert status.st_size == 3 * GIB
        assert status.st_blocks * 512 < 2**20
        assert driver.report()[0].thin


class TestRawThick(FileContract):
    options: ClassVar[dict[str, Any]] = {"format": "raw", "allocation": "thick"}
    threads = 3

    @pytest.fixture(autouse=True)
    def _room(self, tmp_path: Path) -> None:
        if shutil.disk_usage(tmp_path).free < 10 * GIB:
            pytest.skip(f"needs 10 GiB free in {tmp_path}")

    def test_a_volume_takes_its_room_at_once(self, driver: Driver) -> None:
        volume = volume_in(driver)
        driver.create(volume)
        assert path_of(driver, volume).stat().st_blocks * 512 >= GIB

        driver.extend(volume, 2)

        assert path_of(driver, volume).stat().st_blocks * 512 >= 2 * GIB
        assert driver.report()[0].thick


class TestQcow2(FileContract):
    options: ClassVar[dict[str, Any]] = {"format": "qcow2", "allocation": "thin"}

    @pytest.fixture(autouse=True)
    def _tools(self) -> None:
        needs_qemu()

    def write(self, driver: Driver, volume: VolumeRef, offset: int, data: bytes) -> None:
        with tempfile.NamedTemporaryFile() as source:
            source.write(data)
            source.flush()
            command = f"write -s {source.name} {offset} {len(data)}"
            subprocess.run(
                ["qemu-io", "-f", "qcow2", "-c", command, path_of(driver, volume)], check=True
            )

    def read(self, driver: Driver, volume: VolumeRef, offset: int, length: int) -> bytes:
        with tempfile.NamedTemporaryFile() as raw:
            source = path_of(driver, volume)
            subprocess.run(
                ["qemu-img", "convert", "-f", "qcow2", "-O", "raw", source, raw.name], check=True
            )
            raw.seek(offset)
            return raw.read(length)

    def test_qemu_agrees_with_the_size_and_finds_the_image_sound(self, driver: Driver) -> None:
        volume = volume_in(driver, 2)
        driver.create(volume)
        driver.extend(volume, 3)

        path = path_of(driver, volume)
        told = subprocess.check_output(["qemu-img", "info", "--output=json", path])
        assert json.loads(told)["virtual-size"] == 3 * GIB
        assert json.loads(told)["format"] == "qcow2"
        assert "backing-filename" not in json.loads(told)
        subprocess.run(["qemu-img", "check", "-q", path], check=True)
        assert driver.size_of(volume) == 3

    def test_a_file_that_is_no_image_is_listed_with_size_0(self, driver: Driver) -> None:
        volume = volume_in(driver)
        path_of(driver, volume).write_bytes(b"not an image")

        assert list(driver.objects()) == [(volume.object_name, 0)]
        with pytest.raises(DriverFailed, match="not a qcow2 image"):
            driver.size_of(volume)


def test_only_raw_volumes_are_attached_twice_or_grow_in_use(tmp_path: Path) -> None:
    needs_qemu()
    for format_, able in (("raw", True), ("qcow2", False)):
        said = file_backend(tmp_path / format_, format=format_).report()[0].capabilities
        assert (said["multiattach"], said["online_extend"]) == (able, able)


def test_a_connection_names_the_file_and_its_format(tmp_path: Path) -> None:
    driver = file_backend(tmp_path / "volumes")
    assert isinstance(driver, Connects)
    volume = volume_in(driver)
    driver.create(volume)

    connection = driver.connect(volume, "attachment-1", {"host": "here"}, "ro")

    assert connection == {
        "driver_volume_type": "local",
        "data": {
            "device_path": str(path_of(driver, volume)),
            "access_mode": "ro",
            "format": "raw",
        },
    }


def test_a_thick_qcow2_takes_its_room_at_once(tmp_path: Path) -> None:
    needs_qemu()
    driver = file_backend(tmp_path / "volumes", format="qcow2", allocation="thick")
    volume = volume_in(driver)

    driver.create(volume)
    taken = path_of(driver, volume).stat().st_blocks * 512
    driver.delete(volume)

    assert taken >= GIB


def test_a_guest_cannot_change_the_format_by_what_it_writes(tmp_path: Path) -> None:
    driver = file_backend(tmp_path / "volumes")
    volume = volume_in(driver)
    driver.create(volume)
    header = struct.pack(">4sIQIIQ", b"QFI\xfb", 3, 0, 0, 16, 77 * GIB)
    with path_of(driver, volume).open("r+b") as file:
        file.write(header)

    assert driver.size_of(volume) == 1


def test_without_qemu_img_qcow2_is_refused_and_raw_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(InvalidOptions, match=r"format = 'qcow2': needs qemu-img: .*qemu-utils"):
        file_backend(tmp_path / "volumes", format="qcow2")
    file_backend(tmp_path / "volumes").check()


def test_the_pool_is_named_as_the_backend_unless_it_is_told(tmp_path: Path) -> None:
    first = file_backend(tmp_path / "one")
    second = file_backend(tmp_path / "two", pool="fast", volume_backend_name="gold")

    assert first.report()[0].name == "main"
    assert first.report()[0].capabilities["volume_backend_name"] == "main"
    assert second.report()[0].name == "fast"
    assert second.report()[0].capabilities["volume_backend_name"] == "gold"


def test_a_cap_bounds_the_report_and_counts_our_own_files_only(tmp_path: Path) -> None:
    driver = file_backend(tmp_path / "volumes", total_gib=0.25, reserved_percentage=20)
    volume = volume_in(driver)
    driver.create(volume)
    with path_of(driver, volume).open("r+b") as file:
        file.write(b"x" * 2**20 * 64)
        os.fsync(file.fileno())
    (tmp_path / "volumes" / "not-ours").write_bytes(b"x" * 2**20)

    pool = driver.report()[0]

    assert pool.total_gib == 0.25
    assert pool.foreign_gib == 0
    assert pool.free_gib == pytest.approx(0.25 - 64 / 1024, abs=0.001)
    assert pool.limit_gib == pytest.approx(0.25 * 0.8 * 20)


def test_files_that_are_not_ours_are_neither_listed_nor_touched(tmp_path: Path) -> None:
    folder = tmp_path / "volumes"
    driver = file_backend(folder)
    driver.check()
    strangers = ["notes.txt", "volume-1", HALF_MADE + "x", "volume-x.raw"]
    for name in strangers:
        (folder / name).write_text("keep")

    driver.create(volume_in(driver))

    assert len(list(driver.objects())) == 1
    assert [(folder / name).read_text() for name in strangers] == ["keep"] * 4


@pytest.mark.parametrize("kind", ["link", "dangling", "folder", "fifo"])
def test_what_is_no_regular_file_is_never_followed_or_replaced(tmp_path: Path, kind: str) -> None:
    driver = file_backend(tmp_path / "volumes")
    volume = volume_in(driver)
    outside = tmp_path / "outside"
    outside.write_bytes(b"precious")
    path = path_of(driver, volume)
    match kind:
        case "link":
            path.symlink_to(outside)
        case "dangling":
            path.symlink_to(tmp_path / "nowhere")
        case "folder":
            path.mkdir()
        case "fifo":
            os.mkfifo(path)

    for call in (
        lambda: driver.create(volume),
        lambda: driver.extend(volume, 2),
        lambda: driver.size_of(volume),
        lambda: driver.delete(volume),
    ):
        with pytest.raises(DriverFailed, match="not a regular file") as refused:
            call()
        assert refused.value.left == "clean"
    assert list(driver.objects()) == []
    assert os.path.lexists(path)
    assert outside.read_bytes() == b"precious"
    assert not (tmp_path / "nowhere").exists()


def test_a_half_made_name_that_is_a_link_is_not_written_through(tmp_path: Path) -> None:
    driver = file_backend(tmp_path / "volumes")
    volume = volume_in(driver)
    outside = tmp_path / "outside"
    outside.write_bytes(b"precious")
    (tmp_path / "volumes" / (HALF_MADE + volume.object_name)).symlink_to(outside)

    with pytest.raises(DriverFailed, match="not a regular file"):
        driver.create(volume)

    assert outside.read_bytes() == b"precious"


def test_two_backends_cannot_share_a_folder(tmp_path: Path) -> None:
    file_backend(tmp_path).check()
    other = load_backend("other", {"driver": "file", "folder": str(tmp_path)})

    with pytest.raises(BackendUnavailable, match="main"):
        other.check()


def test_a_folder_of_one_format_is_not_read_as_another(tmp_path: Path) -> None:
    needs_qemu()
    file_backend(tmp_path).check()

    with pytest.raises(BackendUnavailable, match="raw"):
        file_backend(tmp_path, format="qcow2").check()
