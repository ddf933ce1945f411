"""Copies of files: what they share, what they leave out, and when there is none."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from drivers import copying
from drivers.base import Clones, Driver, Reverts, Snapshots, VolumeRef
from drivers.copying import copy, has_writer
from drivers.errors import ObjectBusy, OutOfSpace
from drivers.folder import HALF_MADE, MARKER, closing
from drivers.progress import watched
from tests.drivers.contract import volume_in
from tests.drivers.copies import snapshot_of
from tests.drivers.test_file import file_backend, names_in, needs_qemu, path_of
from tests.drivers.test_file_faults import MIB, in_a_process


@contextmanager
def virtual_machine(path: Path) -> Iterator[None]:
    """QEMU has the image open to write to it."""
    needs_qemu()
    command = ["qemu-io", "-f", "raw", str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        with path.open("rb") as file:
            while not has_writer(file.fileno()):
                pass
        yield
        process.terminate()


def copied(source: Path, target: Path, *, thick: bool = False) -> list[int]:
    """Copy; returns the numbers of bytes that it said it had moved."""
    said: list[int] = []
    with (
        source.open("rb") as original,
        closing(os.open(target, os.O_RDWR | os.O_CREAT)) as file,
        watched(said.append),
    ):
        copy(original.fileno(), file, thick=thick)
    return said


def taken(path: Path) -> int:
    return path.stat().st_blocks * 512


def a_file_with_holes(path: Path) -> Path:
    """64 MiB, of which 2 are not holes."""
    with path.open("wb") as file:
        file.write(b"head" * (MIB // 4))
        file.truncate(64 * MIB)
        file.seek(32 * MIB)
        file.write(b"body" * (MIB // 4))
    return path


def written(driver: Driver, size: int = 16 * MIB) -> VolumeRef:
    """A volume of which so many bytes hold something."""
    volume = volume_in(driver)
    driver.create(volume)
    with path_of(driver, volume).open("r+b") as file:
        file.write(os.urandom(size))
    return volume


def start_of(driver: Driver, volume: VolumeRef) -> bytes:
    with path_of(driver, volume).open("rb") as file:
        return file.read(32 * MIB)


@pytest.mark.parametrize("by_kernel", [True, False])
def test_holes_are_not_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_kernel: bool
) -> None:
    source, target = a_file_with_holes(tmp_path / "source"), tmp_path / "target"

    def cannot(*_: object) -> int:
        raise OSError(38, os.strerror(38))

    monkeypatch.setattr(copying, "_share", lambda *_: False)
    if not by_kernel:
        monkeypatch.setattr(os, "copy_file_range", cannot)

    said = copied(source, target)

    assert target.read_bytes() == source.read_bytes()
    assert sum(said) == 2 * MIB
    assert taken(target) < 4 * MIB


def test_a_thick_copy_has_all_its_room(tmp_path: Path) -> None:
    source, target = a_file_with_holes(tmp_path / "source"), tmp_path / "target"

    copied(source, target, thick=True)

    assert target.read_bytes() == source.read_bytes()
    assert taken(target) >= 64 * MIB


def test_an_empty_file_and_one_that_is_a_hole_are_copied(tmp_path: Path) -> None:
    for size in (0, MIB + 1):
        source, target = tmp_path / f"source-{size}", tmp_path / f"target-{size}"
        source.touch()
        os.truncate(source, size)

        assert copied(source, target) == []
        assert target.stat().st_size == size


def test_snapshots_and_clones_share_their_blocks_where_they_can(sharing: Path) -> None:
    driver = file_backend(sharing)
    assert isinstance(driver, Snapshots)
    assert isinstance(driver, Clones)
    assert isinstance(driver, Reverts)
    volume = written(driver, 64 * MIB)
    before = shutil.disk_usage(sharing).free

    # Ten copies of 64 MiB on a file system of 512 MiB.
    for _ in range(5):
        driver.create_snapshot(snapshot_of(volume), volume)
        driver.create_clone(volume_in(driver), volume)
    snapshot = snapshot_of(volume)
    driver.create_snapshot(snapshot, volume)
    driver.revert(volume, snapshot)

    assert before - shutil.disk_usage(sharing).free < 8 * MIB
    assert driver.report()[0].foreign_gib >= 0


def test_a_volume_in_use_is_copied_only_where_that_takes_one_moment(
    sharing: Path, tmp_path: Path
) -> None:
    slow, quick = file_backend(tmp_path / "volumes"), file_backend(sharing)
    for driver in (slow, quick):
        assert isinstance(driver, Snapshots)
        volume = written(driver)
        snapshot = snapshot_of(volume)

        with virtual_machine(path_of(driver, volume)):
            if driver is slow:
                with pytest.raises(ObjectBusy) as refused:
                    driver.create_snapshot(snapshot, volume)
                assert refused.value.left == "clean"
                assert list(driver.objects()) == [(volume.object_name, 1)]
            else:
                driver.create_snapshot(snapshot, volume)

        driver.create_snapshot(snapshot, volume)
        assert len(list(driver.objects())) == 2


def test_a_copy_during_which_a_virtual_machine_starts_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = file_backend(tmp_path / "volumes")
    assert isinstance(driver, Clones)
    volume, clone = written(driver), volume_in(driver)
    looks = iter([False, True])
    monkeypatch.setattr(copying, "_share", lambda *_: False)
    monkeypatch.setattr(copying, "has_writer", lambda _: next(looks))

    with pytest.raises(ObjectBusy) as refused:
        driver.create_clone(clone, volume)

    assert refused.value.left == "clean"
    assert names_in(tmp_path / "volumes") == {MARKER, volume.object_name}


def test_a_volume_in_use_is_not_reverted(tmp_path: Path) -> None:
    driver = file_backend(tmp_path / "volumes")
    assert isinstance(driver, Snapshots)
    assert isinstance(driver, Reverts)
    volume = written(driver)
    snapshot = snapshot_of(volume)
    driver.create_snapshot(snapshot, volume)

    with (
        virtual_machine(path_of(driver, volume)),
        pytest.raises(ObjectBusy, match="virtual machine") as refused,
    ):
        driver.revert(volume, snapshot)

    assert refused.value.left == "clean"


@pytest.mark.parametrize("allocation", ["thin", "thick"])
@pytest.mark.parametrize("call", ["snapshot", "clone", "revert"])
def test_a_copy_that_does_not_fit_leaves_everything_as_it_was(
    small: Path, call: str, allocation: str
) -> None:
    thin = file_backend(small)
    assert isinstance(thin, Snapshots)
    volume = written(thin, 24 * MIB)
    snapshot = snapshot_of(volume)
    thin.create_snapshot(snapshot, volume)
    content = start_of(thin, volume)
    names = names_in(small)

    driver = file_backend(small, allocation=allocation)
    assert isinstance(driver, Snapshots)
    assert isinstance(driver, Clones)
    assert isinstance(driver, Reverts)
    with pytest.raises(OutOfSpace) as full:
        match call:
            case "snapshot":
                driver.create_snapshot(snapshot_of(volume), volume)
            case "clone":
                driver.create_clone(volume_in(driver), volume)
            case "revert":
                driver.revert(volume, snapshot)

    assert full.value.left == "clean"
    assert names_in(small) == names
    assert start_of(thin, volume) == content


def test_a_qcow2_copy_that_does_not_fit_when_it_grows_leaves_nothing(small: Path) -> None:
    needs_qemu()
    thin = file_backend(small, format="qcow2")
    volume = volume_in(thin)
    thin.create(volume)
    names = names_in(small)

    thick = file_backend(small, format="qcow2", allocation="thick")
    assert isinstance(thick, Clones)
    with pytest.raises(OutOfSpace) as full:
        thick.create_clone(volume_in(thick, 2), volume)

    assert full.value.left == "clean"
    assert names_in(small) == names


@pytest.mark.parametrize("at", ["fsync", "rename"])
@pytest.mark.parametrize("call", ["snapshot", "clone", "revert"])
def test_a_copy_that_is_killed_leaves_what_the_next_one_clears(
    tmp_path: Path, call: str, at: str
) -> None:
    driver = file_backend(tmp_path / "volumes")
    assert isinstance(driver, Snapshots)
    assert isinstance(driver, Clones)
    assert isinstance(driver, Reverts)
    volume, clone = written(driver, MIB), volume_in(driver)
    snapshot, kept = snapshot_of(volume), snapshot_of(volume)
    driver.create_snapshot(kept, volume)
    before = start_of(driver, volume)
    with path_of(driver, volume).open("r+b") as file:
        file.write(b"changed since")
    made, script = {
        "snapshot": (snapshot.object_name, "create_snapshot(SnapshotRef(made, 1, pool), volume)"),
        "clone": (clone.object_name, "create_clone(VolumeRef(made, 'x', 1, pool), volume)"),
        "revert": (volume.object_name, "revert(volume, SnapshotRef(kept, 1, pool))"),
    }[call]
    process = in_a_process(
        driver,
        volume.object_name,
        "from drivers.base import SnapshotRef\n"
        f"driver.check(); made, kept = {made!r}, {kept.object_name!r}\n"
        f"os.{at} = lambda *a, **k: (print('there', flush=True), time.sleep(60))\n"
        f"driver.{script}\n",
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "there\n"

    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()

    assert HALF_MADE + made in names_in(tmp_path / "volumes")
    assert start_of(driver, volume).startswith(b"changed since")
    assert made in dict(driver.objects())
    match call:
        case "snapshot":
            driver.create_snapshot(snapshot, volume)
        case "clone":
            driver.create_clone(clone, volume)
        case "revert":
            driver.revert(volume, kept)
            assert start_of(driver, volume) == before
    assert not any(name.startswith(HALF_MADE) for name in names_in(tmp_path / "volumes"))
    assert dict(driver.objects())[made] == 1
