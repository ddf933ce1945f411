"""Locks that hold across the threads and processes of one storage node, and die with their holder.

Each lock is one byte of one file, taken with an open-file-description lock: the kernel frees it
when its holder closes the file or dies, so nothing is left to clean up, and no file is made for
each object.
"""

import fcntl
import hashlib
import os
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_FLOCK = struct.Struct("hhqqi4x")  # struct flock of 64-bit Linux: type, whence, start, length, pid
_OBJECTS = 1 << 61  # bytes from here on stand for objects, those before for incarnations
_FIRST_PAUSE = 0.002
_LONGEST_PAUSE = 0.1


class LockTimeoutError(Exception):
    """The lock of `name` was not free in time."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class Locks:
    """The locks in one file, which is made if missing. Thread-safe.

    Two objects share a byte once in 2^61 pairs, and then wait for each other. Who needs several
    locks takes them in the order of their names, so that no two wait for each other for ever.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextmanager
    def object(self, name: str, wait: float, *, shared: bool = False) -> Iterator[None]:
        """Hold the lock of the object `name`. Raises LockTimeoutError after `wait` seconds.

        Any number may hold it `shared`, while nobody holds it alone.
        """
        digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
        descriptor = self._open()
        try:
            byte = _OBJECTS + int.from_bytes(digest) % _OBJECTS
            if not _wait(descriptor, byte, wait, fcntl.F_RDLCK if shared else fcntl.F_WRLCK):
                raise LockTimeoutError(name)
            yield
        finally:
            os.close(descriptor)

    def live_as(self, number: int) -> int:
        """Mark incarnation `number` as alive until the returned file descriptor is closed."""
        descriptor = self._open()
        try:
            # Nobody else has this number: free at once.
            if not _wait(descriptor, number, 5.0, fcntl.F_WRLCK):
                raise LockTimeoutError(f"incarnation {number}")
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def lives(self, number: int) -> bool:
        """Whether incarnation `number` runs, in this process or in another."""
        descriptor = self._open()
        try:
            found = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, _lock(fcntl.F_WRLCK, number))
        finally:
            os.close(descriptor)
        return bool(_FLOCK.unpack(found)[0] != fcntl.F_UNLCK)

    def _open(self) -> int:
        return os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _lock(kind: int, byte: int) -> bytes:
    return _FLOCK.pack(kind, os.SEEK_SET, byte, 1, 0)


def _wait(descriptor: int, byte: int, wait: float, kind: int) -> bool:
    """Take the lock; False if it was not free in time."""
    # The kernel's own waiting has no time limit that spares the other threads, hence the polling.
    deadline = time.monotonic() + wait
    pause = _FIRST_PAUSE
    while True:
        try:
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _lock(kind, byte))
        except (BlockingIOError, PermissionError):  # POSIX allows EAGAIN and EACCES
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            time.sleep(min(pause, left))
            pause = min(pause * 2, _LONGEST_PAUSE)
        else:
            return True
