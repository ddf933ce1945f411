"""Copies of files: at once by sharing their blocks, or piece by piece without the holes."""

import errno
import fcntl
import os
import struct
from collections.abc import Iterator

from drivers.errors import ObjectBusy
from drivers.progress import moved

_FICLONE = 0x40049409
_CHUNK = 16 * 1024**2
_CANNOT = frozenset((errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EXDEV, errno.ENOTTY))
"""What a file system says that cannot share or copy by itself."""

_FLOCK = struct.Struct("hhqqi4x")  # struct flock of 64-bit Linux: type, whence, start, length, pid
_QEMU_WRITES = 101
"""The byte of an image that every QEMU process that may write to it has locked."""


def copy(source: int, target: int, *, thick: bool) -> None:
    """Copy an open file over an empty one, holes as holes. Raises OSError and ObjectBusy.

    A copy that shares its blocks is of one moment, so somebody may be writing meanwhile. Another
    one takes its time, so it is refused while a virtual machine has the source open. `thick`: all
    the room is taken at once, and nothing is shared.
    """
    if not thick and _share(source, target):
        return
    _not_written(source)
    size = os.fstat(source).st_size
    if thick and size:
        os.posix_fallocate(target, 0, size)
    else:
        os.ftruncate(target, size)
    for start, end in _data(source, size):
        _copy_range(source, target, start, end, by_kernel=not thick)
    # Also one that has been opened since.
    _not_written(source)


def has_writer(file: int) -> bool:
    """Whether a virtual machine (QEMU) has the file open to write to it."""
    asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, _QEMU_WRITES, 1, 0)
    return bool(_FLOCK.unpack(fcntl.fcntl(file, fcntl.F_OFD_GETLK, asked))[0] != fcntl.F_UNLCK)


def _not_written(source: int) -> None:
    if has_writer(source):
        raise ObjectBusy("a virtual machine writes to it, and the file system cannot share blocks")


def _share(source: int, target: int) -> bool:
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError as error:
        if error.errno not in _CANNOT:
            raise
        return False
    return True


def _data(source: int, size: int) -> Iterator[tuple[int, int]]:
    """Start and end of each part that is not a hole."""
    end = 0
    while end < size:
        try:
            start = os.lseek(source, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole from here on
                return
            raise
        end = min(size, os.lseek(source, start, os.SEEK_HOLE))
        yield start, end


def _copy_range(source: int, target: int, start: int, end: int, *, by_kernel: bool) -> None:
    """Copy a part; the kernel may share blocks where it is let do it."""
    while start < end:
        length = min(_CHUNK, end - start)
        copied = 0
        if by_kernel:
            try:
                copied = os.copy_file_range(source, target, length, start, start)
            except OSError as error:
                if error.errno not in _CANNOT:
                    raise
                by_kernel = False
        if not copied:
            copied = _write(target, os.pread(source, length, start), start)
        if not copied:
            raise OSError(errno.EIO, "the file became shorter while it was copied")
        start += copied
        moved(copied)


def _write(target: int, data: bytes, offset: int) -> int:
    view = memoryview(data)
    done = 0
    while done < len(view):
        done += os.pwrite(target, view[done:], offset + done)
    return done
