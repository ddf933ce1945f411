"""File systems of their own for drivers."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 64 MiB, of its own."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)]
    may = os.geteuid() == 0 and shutil.which("mount") is not None
    if not may or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a tmpfs (root)")
    yield folder
    while os.path.ismount(folder):
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.fixture
def sharing(tmp_path: Path) -> Iterator[Path]:
    """A file system of 512 MiB on which files can share blocks (XFS)."""
    if shutil.which("mkfs.xfs") is None:
        pytest.skip("needs mkfs.xfs (apt: xfsprogs)")
    image, folder = tmp_path / "image", tmp_path / "sharing"
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(512 * 2**20)
    subprocess.run(["mkfs.xfs", "-q", "-m", "reflink=1", image], check=True)
    mount = ["mount", "-o", "loop", str(image), str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount XFS (root)")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)
