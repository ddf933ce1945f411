"""Volumes in files: how an image of one format is made, grown and measured.

Every function gets an open file, so that nobody can swap the file behind a path. The format is
what the back end is configured with and never guessed from the content: a guest can write
any header into its raw volume, and a guess would let it name another file as its backing.
"""

import os
import shutil
import struct
import subprocess
from abc import ABC, abstractmethod
from typing import Any, ClassVar

from drivers.copying import copy
from drivers.errors import (
    BackendUnavailable,
    DriverError,
    DriverFailed,
    DriverTimeout,
    NotSupported,
    ObjectBusy,
    OutOfSpace,
)

QEMU_IMG = "qemu-img"
QCOW2_MAGIC = b"QFI\xfb"


def qemu_img_installed() -> bool:
    """Whether qemu-img is on this node's PATH."""
    return shutil.which(QEMU_IMG) is not None


class Image(ABC):
    """One image format. Sizes are virtual sizes in bytes. Raises OSError and DriverError.

    `thick` takes the room at once; `timeout` in seconds bounds each command that is run.
    """

    format: ClassVar[str]

    def __init__(self, *, thick: bool, timeout: float) -> None:
        self._thick = thick
        self._timeout = timeout

    @abstractmethod
    def make(self, fd: int, size: int) -> None:
        """Turn an empty file into an image of `size`."""

    @abstractmethod
    def grow(self, fd: int, size: int) -> None:
        """Enlarge the image to `size`, which is more than it has."""

    @abstractmethod
    def size(self, fd: int) -> int:
        """The virtual size."""

    @abstractmethod
    def examine(self, fd: int) -> None:
        """Raise NotSupported for what somebody else made and must not become a volume of ours.

        That is a file of another format, or one that has its data in further files: whoever wrote
        it could have named any file of this machine.
        """

    def allot(self, fd: int) -> None:
        """Take the room for the holes of an image that somebody else made, if ours have theirs."""
        if self._thick:
            os.posix_fallocate(fd, 0, os.fstat(fd).st_size)

    def copy(self, fd: int, target: int) -> None:
        """Turn the empty file `target` into the same image as `fd`."""
        copy(fd, target, thick=self._thick)


class RawImage(Image):
    """The bytes of the volume themselves."""

    format = "raw"

    def make(self, fd: int, size: int) -> None:
        self.grow(fd, size)

    def grow(self, fd: int, size: int) -> None:
        if not self._thick:
            os.ftruncate(fd, size)
            return
        before = self.size(fd)
        try:
            os.posix_fallocate(fd, before, size - before)
        except OSError:
            # A full file system may have granted a part of it: give that back.
            os.ftruncate(fd, before)
            raise

    def size(self, fd: int) -> int:
        return os.fstat(fd).st_size

    def examine(self, fd: int) -> None:
        if os.pread(fd, len(QCOW2_MAGIC), 0) == QCOW2_MAGIC:
            raise NotSupported("it is a qcow2 image, not a raw one")


class Qcow2Image(Image):
    """QEMU's copy-on-write format, through qemu-img."""

    format = "qcow2"

    # magic, version, backing file (2), cluster bits, size, encryption
    _HEADER = struct.Struct(">4sIQIIQI")
    _FEATURES = struct.Struct(">72xQ")  # from version 3 on
    _DATA_FILE = 4

    def make(self, fd: int, size: int) -> None:
        allocation = "falloc" if self._thick else "off"
        self._run(fd, ["create", "-o", f"preallocation={allocation}"], size)

    def grow(self, fd: int, size: int) -> None:
        self._run(fd, ["resize", "--preallocation=falloc"] if self._thick else ["resize"], size)

    def size(self, fd: int) -> int:
        # Read here rather than asked of qemu-img: an audit measures thousands of images.
        return int(self._header(fd)[5])

    def examine(self, fd: int) -> None:
        _, version, backing, _, _, _, encrypted = self._header(fd)
        if backing:
            raise NotSupported("it has a backing file")
        features = os.pread(fd, self._FEATURES.size, 0) if version > 2 else b""
        whole = len(features) == self._FEATURES.size
        if whole and self._FEATURES.unpack(features)[0] & self._DATA_FILE:
            raise NotSupported("its data are in another file")
        if encrypted:
            raise NotSupported("it is encrypted")

    def _header(self, fd: int) -> tuple[Any, ...]:
        header = os.pread(fd, self._HEADER.size, 0)
        if len(header) < self._HEADER.size or not header.startswith(QCOW2_MAGIC):
            raise DriverFailed("the file is not a qcow2 image", left="clean")
        return self._HEADER.unpack(header)

    def _run(self, fd: int, command: list[str], size: int) -> None:
        verb, *options = command
        # The file is inherited and named by its number, so that it is the one that was opened.
        file = f"/proc/self/fd/{fd}"
        arguments = [QEMU_IMG, verb, "-q", "-f", self.format, *options, file, str(size)]
        try:
            done = subprocess.run(
                arguments,
                pass_fds=[fd],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=self._timeout,
                env={**os.environ, "LC_ALL": "C"},
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            # The command has been killed and waited for, so nothing is at work any more.
            raise DriverTimeout(f"qemu-img {verb}: {self._timeout:g} s", left="dirty") from error
        except FileNotFoundError as error:
            raise BackendUnavailable("qemu-img is not installed (qemu-utils)") from error
        if done.returncode:
            raise qemu_img_error(verb, done.returncode, done.stderr)


_BY_PHRASE: tuple[tuple[str, type[DriverError]], ...] = (
    ("No space left on device", OutOfSpace),
    ("Disk quota exceeded", OutOfSpace),
    ('Failed to get "', ObjectBusy),  # … "write" lock, shared "write" lock, "resize" lock
    ("Permission denied", BackendUnavailable),
    ("Read-only file system", BackendUnavailable),
)


def qemu_img_error(verb: str, code: int, stderr: str) -> DriverError:
    """The driver error for a qemu-img that ended with a `code` other than 0."""
    kind = next((kind for phrase, kind in _BY_PHRASE if phrase in stderr), DriverFailed)
    # It cannot delete a file that it knows by number only; whoever opened the file does that.
    lines = (line for line in stderr.splitlines() if "Error when deleting file" not in line)
    said = " ".join(" ".join(lines).split()) or "no message"
    return kind(f"qemu-img {verb} ended with {code}: {said[:500]}")
