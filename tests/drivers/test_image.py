"""Images through qemu-img, when it hangs, fails, or another program has the image."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from drivers import image
from drivers.errors import (
    BackendUnavailable,
    DriverError,
    DriverFailed,
    DriverTimeout,
    ObjectBusy,
    OutOfSpace,
)
from drivers.folder import MARKER
from tests.drivers.contract import volume_in
from tests.drivers.test_file import file_backend, names_in, needs_qemu, path_of


def put_on_path(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A qemu-img that does what `script` says."""
    folder.mkdir()
    (folder / "qemu-img").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "qemu-img").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)


def test_a_qemu_img_that_hangs_is_ended_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_on_path(tmp_path / "bin", "exec sleep 60", monkeypatch)
    driver = file_backend(tmp_path / "volumes", format="qcow2", operation_timeout=0.3)
    begun = time.monotonic()

    with pytest.raises(DriverTimeout) as late:
        driver.create(volume_in(driver))

    assert time.monotonic() - begun < 10
    assert late.value.left == "clean"
    assert names_in(tmp_path / "volumes") == {MARKER}


def test_a_qemu_img_that_fails_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_on_path(tmp_path / "bin", "echo one; echo two words >&2; exit 3", monkeypatch)
    driver = file_backend(tmp_path / "volumes", format="qcow2")

    with pytest.raises(DriverFailed, match="qemu-img create ended with 3: two words") as failed:
        driver.create(volume_in(driver))

    assert failed.value.left == "clean"
    assert names_in(tmp_path / "volumes") == {MARKER}


def test_an_image_that_another_program_has_open_is_busy(tmp_path: Path) -> None:
    needs_qemu()
    driver = file_backend(tmp_path / "volumes", format="qcow2")
    volume = volume_in(driver)
    driver.create(volume)
    holder = subprocess.Popen(
        ["qemu-io", "-f", "qcow2", path_of(driver, volume)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    assert holder.stdout.read(7) == b"qemu-io"  # its prompt: the image is open and locked

    with pytest.raises(ObjectBusy) as busy:
        driver.extend(volume, 2)

    holder.communicate(b"quit\n", timeout=10)
    assert busy.value.left == "clean"
    driver.extend(volume, 2)
    assert driver.size_of(volume) == 2


@pytest.mark.parametrize(
    ("stderr", "kind"),
    [
        ("qemu-img: x: Could not write qcow2 header: No space left on device", OutOfSpace),
        ("qemu-img: x: Disk quota exceeded", OutOfSpace),
        ('qemu-img: Could not open x: Failed to get "write" lock\nIs another …?', ObjectBusy),
        ("qemu-img: Could not open 'x': Permission denied", BackendUnavailable),
        ("", DriverFailed),
    ],
)
def test_what_qemu_img_says_becomes_one_of_our_errors(stderr: str, kind: type[DriverError]) -> None:
    assert type(image.qemu_img_error("create", 1, stderr)) is kind
