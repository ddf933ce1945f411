"""The file driver when its storage is full, away, read-only, or its process is killed."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from drivers.base import GIB, Driver
from drivers.errors import (
    BackendUnavailable,
    DriverFailed,
    NotSupported,
    OutOfSpace,
)
from drivers.folder import HALF_MADE, MARKER
from tests.drivers.contract import volume_in
from tests.drivers.test_file import file_backend, names_in, needs_qemu, path_of

MIB = 2**20


@pytest.mark.parametrize("format_", ["raw", "qcow2"])
def test_a_create_that_does_not_fit_leaves_nothing(small: Path, format_: str) -> None:
    if format_ == "qcow2":
        needs_qemu()
    driver = file_backend(small, format=format_, allocation="thick")
    volume = volume_in(driver)

    with pytest.raises(OutOfSpace) as full:
        driver.create(volume)

    assert full.value.left == "clean"
    assert names_in(small) == {MARKER}
    assert list(driver.objects()) == []


@pytest.mark.parametrize("format_", ["raw", "qcow2"])
def test_an_extend_that_does_not_fit_leaves_the_volume_as_it_was(small: Path, format_: str) -> None:
    if format_ == "qcow2":
        needs_qemu()
    thin = file_backend(small, format=format_)
    volume = volume_in(thin)
    thin.create(volume)
    if format_ == "raw":
        with path_of(thin, volume).open("r+b") as file:
            file.write(b"data")
    thick = file_backend(small, format=format_, allocation="thick")

    with pytest.raises(OutOfSpace) as full:
        thick.extend(volume, 2)

    assert full.value.left == "clean"
    assert thick.size_of(volume) == 1
    if format_ == "raw":
        assert path_of(thin, volume).stat().st_size == GIB
        with path_of(thin, volume).open("rb") as file:
            assert file.read(4) == b"data"


def test_a_thin_create_on_a_full_disk_leaves_nothing(small: Path) -> None:
    needs_qemu()
    driver = file_backend(small, format="qcow2")
    driver.check()
    with (
        (small / "filler").open("wb", buffering=0) as filler,
        pytest.raises(OSError, match="No space"),
    ):
        while True:
            filler.write(bytes(MIB))

    with pytest.raises(OutOfSpace) as full:
        driver.create(volume_in(driver))

    assert full.value.left == "clean"
    assert names_in(small) == {MARKER, "filler"}


def test_a_report_tells_ours_from_what_is_not(small: Path) -> None:
    driver = file_backend(small, max_over_subscription_ratio=2)
    volume = volume_in(driver)
    driver.create(volume)
    with path_of(driver, volume).open("r+b") as file:
        file.write(bytes(8 * MIB))
    (small / "stranger").write_bytes(bytes(16 * MIB))

    pool = driver.report()[0]

    assert pool.total_gib * 1024 == 64
    assert pool.foreign_gib * 1024 == pytest.approx(16, abs=0.1)
    assert pool.free_gib * 1024 == pytest.approx(40, abs=0.1)
    assert pool.limit_gib * 1024 == pytest.approx((64 - 16) * 2, abs=0.2)


def test_a_read_only_file_system_is_down(small: Path) -> None:
    driver = file_backend(small)
    volume = volume_in(driver)
    driver.create(volume)
    subprocess.run(["mount", "-o", "remount,ro", small], check=True)

    with pytest.raises(BackendUnavailable, match="read-only"):
        driver.check()
    for call in (
        lambda: driver.create(volume_in(driver)),
        lambda: driver.extend(volume, 2),
        lambda: driver.delete(volume),
    ):
        with pytest.raises(BackendUnavailable) as refused:
            call()
        assert refused.value.left == "clean"
    assert driver.size_of(volume) == 1


def test_a_lost_mount_is_not_filled_underneath(small: Path) -> None:
    driver = file_backend(small)
    volume = volume_in(driver)
    driver.create(volume)
    subprocess.run(["umount", small], check=True)

    with pytest.raises(BackendUnavailable, match="lost mount"):
        driver.check()
    with pytest.raises(BackendUnavailable) as refused:
        driver.create(volume)

    assert refused.value.left == "clean"
    assert names_in(small) == set()


def test_a_node_that_starts_before_the_mount_waits_for_it(tmp_path: Path) -> None:
    driver = file_backend(tmp_path, create_folder=False)

    with pytest.raises(BackendUnavailable, match=MARKER):
        driver.check()
    assert names_in(tmp_path) == set()

    (tmp_path / MARKER).touch()
    driver.check()
    volume = volume_in(driver)
    driver.create(volume)
    assert file_backend(tmp_path, create_folder=False).size_of(volume) == 1


def test_a_folder_that_must_be_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(BackendUnavailable):
        file_backend(tmp_path / "volumes", create_folder=False).check()

    assert not (tmp_path / "volumes").exists()


@pytest.mark.parametrize("instead", ["nothing", "empty folder", "file"])
def test_a_folder_that_vanished_is_down_until_it_is_back(tmp_path: Path, instead: str) -> None:
    folder, away = tmp_path / "volumes", tmp_path / "away"
    driver = file_backend(folder)
    volume = volume_in(driver)
    driver.create(volume)
    folder.rename(away)
    if instead == "empty folder":
        folder.mkdir()
    elif instead == "file":
        folder.touch()

    calls: list[Callable[[], Any]] = [
        driver.check,
        driver.report,
        driver.objects,
        lambda: driver.create(volume),
        lambda: driver.delete(volume),
        lambda: driver.extend(volume, 2),
        lambda: driver.size_of(volume),
    ]
    for call in calls:
        with pytest.raises(BackendUnavailable) as refused:
            call()
        assert refused.value.left == "clean"
        assert str(folder) in str(refused.value)
    assert folder.exists() == (instead != "nothing")

    if instead == "empty folder":
        assert names_in(folder) == set()
        folder.rmdir()
    elif instead == "file":
        folder.unlink()
    away.rename(folder)
    driver.check()
    assert driver.size_of(volume) == 1


def test_a_folder_that_cannot_be_made_says_which(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(BackendUnavailable, match="file/volumes"):
        file_backend(tmp_path / "file" / "volumes").check()


@pytest.mark.parametrize("text", ["not json", "[1, 2]", "7", '{"backend": "other"}'])
def test_a_marker_that_is_not_ours_is_respected(tmp_path: Path, text: str) -> None:
    (tmp_path / MARKER).write_text(text)

    with pytest.raises(BackendUnavailable):
        file_backend(tmp_path).check()

    assert (tmp_path / MARKER).read_text() == text


def test_the_error_that_came_first_wins_over_a_failed_clean_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = file_backend(tmp_path / "volumes", allocation="thick")
    volume = volume_in(driver)

    def failing(number: int) -> Callable[..., None]:
        def fail(*_: Any, **__: Any) -> None:
            raise OSError(number, os.strerror(number))

        return fail

    with monkeypatch.context() as broken:
        broken.setattr(os, "posix_fallocate", failing(errno.ENOSPC))
        broken.setattr(os, "unlink", failing(errno.EIO))
        with pytest.raises(OutOfSpace) as full:
            driver.create(volume)

    assert full.value.left == "dirty"
    assert "Input/output error" in full.value.__notes__[0]
    assert list(driver.objects()) == [(volume.object_name, 0)]
    driver.delete(volume)
    assert list(driver.objects()) == []


def test_what_a_full_disk_granted_of_an_extend_is_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = file_backend(tmp_path / "volumes", allocation="thick")
    volume = volume_in(driver)
    driver.create(volume)

    def grant_a_part(fd: int, offset: int, length: int) -> None:
        os.ftruncate(fd, offset + length // 2)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as full:
        full.setattr(os, "posix_fallocate", grant_a_part)
        with pytest.raises(OutOfSpace) as refused:
            driver.extend(volume, 3)

    assert refused.value.left == "clean"
    assert path_of(driver, volume).stat().st_size == GIB
    driver.delete(volume)


def test_a_volume_whose_folder_could_not_be_flushed_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = file_backend(tmp_path / "volumes")
    volume = volume_in(driver)
    renamed: list[str] = []
    rename, fsync = os.rename, os.fsync

    def noted(*arguments: Any, **named: Any) -> None:
        rename(*arguments, **named)
        renamed.append("renamed")

    def fail_once_after_the_rename(fd: int) -> None:
        if renamed == ["renamed"]:
            renamed.append("failed")
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        fsync(fd)

    with monkeypatch.context() as broken:
        broken.setattr(os, "rename", noted)
        broken.setattr(os, "fsync", fail_once_after_the_rename)
        with pytest.raises(DriverFailed) as failed:
            driver.create(volume)

    assert renamed == ["renamed", "failed"]
    assert failed.value.left == "clean"
    assert list(driver.objects()) == []


PROLOGUE = """
import os, resource, sys, time
from drivers.base import VolumeRef
from drivers.errors import DriverError
from drivers.registry import load_backend
folder, allocation, name, pool = sys.argv[1:]
options = {"driver": "file", "folder": folder, "allocation": allocation}
driver = load_backend("main", options)
volume = VolumeRef(name, "x", 1, pool)
"""


def in_a_process(driver: Driver, name: str, script: str) -> subprocess.Popen[str]:
    options = driver.options
    arguments = [options["folder"], options["allocation"], name, driver.report()[0].name]
    return subprocess.Popen(
        [sys.executable, "-c", PROLOGUE + script, *arguments], stdout=subprocess.PIPE, text=True
    )


def test_a_limit_on_the_size_of_files_leaves_nothing(tmp_path: Path) -> None:
    for allocation in ("thin", "thick"):
        driver = file_backend(tmp_path / allocation, allocation=allocation)
        process = in_a_process(
            driver,
            volume_in(driver).object_name,
            "resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))\n"
            "try: driver.create(volume)\n"
            "except DriverError as error: print(type(error).__name__, error.left)\n",
        )

        said, _ = process.communicate(timeout=30)

        assert said.split() == [NotSupported.__name__, "clean"]
        assert names_in(tmp_path / allocation) == {MARKER}


def test_a_create_killed_before_its_end_leaves_a_name_that_the_next_one_clears(
    tmp_path: Path,
) -> None:
    driver = file_backend(tmp_path / "volumes")
    volume = volume_in(driver)
    process = in_a_process(
        driver,
        volume.object_name,
        "os.rename = lambda *a, **k: (print('made', flush=True), time.sleep(60))\n"
        "driver.create(volume)\n",
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "made\n"

    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()

    assert driver.size_of(volume) is None
    assert list(driver.objects()) == [(volume.object_name, 0)]
    driver.create(volume)
    assert names_in(tmp_path / "volumes") == {MARKER, volume.object_name}
    assert driver.size_of(volume) == 1


def test_a_half_made_file_beside_a_whole_one_is_listed_once(tmp_path: Path) -> None:
    driver = file_backend(tmp_path / "volumes")
    volumes = [volume_in(driver) for _ in range(16)]  # a folder is listed in any order
    for volume in volumes:
        driver.create(volume)
        (tmp_path / "volumes" / (HALF_MADE + volume.object_name)).touch()

    assert sorted(driver.objects()) == sorted((volume.object_name, 1) for volume in volumes)
    for volume in volumes:
        driver.delete(volume)
    assert names_in(tmp_path / "volumes") == {MARKER}
