"""The folder of a file back end, and the files in it.

Everything is reached through the opened folder and without following symbolic links. The folder
carries a marker, ``.breezeblock``: when a file system that should be mounted there is not, the
marker is missing, and the back end is down rather than filling what is underneath.
"""

import errno
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from drivers.base import JSON
from drivers.errors import BackendUnavailable, DriverFailed
from drivers.names import is_ours

MARKER = ".breezeblock"
HALF_MADE = ".making-"

_SAFELY = os.O_NOFOLLOW | os.O_CLOEXEC


class Folder:
    """The folder `path`, which is ours when its marker says `identity`; `create` makes both."""

    def __init__(self, path: Path, identity: dict[str, JSON], *, create: bool) -> None:
        self.path = path
        self._identity = identity
        self._create = create
        self._prepared = False

    @contextmanager
    def opened(self) -> Iterator[int]:
        """The folder, opened; raises BackendUnavailable unless it is there and is ours."""
        if not self._prepared:
            self._prepare()
        with must_work(f"open {self.path}"):
            folder = os.open(self.path, os.O_DIRECTORY | os.O_CLOEXEC)
        with closing(folder):
            with must_work(f"read {self.path / MARKER}"):
                marker = self._marker(folder)
            if marker is None:
                raise BackendUnavailable(f"{self.path} has lost its {MARKER}: a lost mount?")
            if marker != self._identity:
                raise BackendUnavailable(f"{self.path} belongs to {marker}")
            yield folder

    def _prepare(self) -> None:
        """Make what is missing, once in the life of this driver: later it was lost."""
        with must_work(f"prepare {self.path}"):
            if self._create:
                self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder = os.open(self.path, os.O_DIRECTORY | os.O_CLOEXEC)
            with closing(folder):
                marker = self._marker(folder)
                if marker is None and not self._create:
                    raise BackendUnavailable(
                        f"{self.path} has no {MARKER}: is it mounted? If it is and is new, "
                        f"make an empty file of that name in it"
                    )
                if not marker:
                    self._write_marker(folder)
        self._prepared = True

    def _marker(self, folder: int) -> dict[str, JSON] | None:
        """The content of the marker; {} if it is empty, None if there is none."""
        try:
            file = os.open(MARKER, os.O_RDONLY | _SAFELY, dir_fd=folder)
        except FileNotFoundError:
            return None
        with closing(file):
            text = os.read(file, 4096)
        try:
            return dict(json.loads(text)) if text.strip() else {}
        except (ValueError, TypeError) as error:
            raise BackendUnavailable(f"{self.path / MARKER} is not ours") from error

    def _write_marker(self, folder: int) -> None:
        # Crash: between the two lines the marker is empty, which the next start fills in.
        file = os.open(MARKER, os.O_WRONLY | os.O_CREAT | _SAFELY, 0o600, dir_fd=folder)
        with closing(file):
            os.write(file, json.dumps(self._identity).encode())
            os.fsync(file)
        os.fsync(folder)


@contextmanager
def must_work(doing: str) -> Iterator[None]:
    """Before anything is touched every error, a full disk too, means: not now."""
    try:
        yield
    except OSError as error:
        raise BackendUnavailable(f"{doing}: {error.strerror}") from error


@contextmanager
def closing(fd: int) -> Iterator[int]:
    """Close a file or folder at the end of the block."""
    try:
        yield fd
    finally:
        os.close(fd)


def open_file(folder: int, name: str, flags: int) -> int:
    """Open a regular file of the folder, new ones for this user only.

    Raises DriverFailed for anything that is not one, FileNotFoundError if it is not there.
    """
    try:
        # Non-blocking: opening a FIFO would otherwise wait for somebody to write into it.
        file = os.open(name, flags | os.O_NONBLOCK | _SAFELY, 0o600, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
            raise DriverFailed(f"{name} is not a regular file", left="clean") from error
        raise
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise DriverFailed(f"{name} is not a regular file", left="clean")
    return file


def unlink(folder: int, name: str) -> None:
    """Remove a regular file of the folder; nothing if it is not there."""
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if not stat.S_ISREG(status.st_mode):
            raise DriverFailed(f"{name} is not a regular file", left="clean")
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        return


def rename(folder: int, name: str, new: str) -> bool:
    """Give a file another name, on the disk too; False, and no change, if another file has it.

    Raises FileNotFoundError if there is no file of that name.
    """
    try:
        # Unlike a rename this replaces nothing.
        os.link(name, new, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    except FileExistsError:
        # Crash: an earlier call may have died between these two lines; then both are one file.
        if not same_file(folder, name, new):
            return False
    os.unlink(name, dir_fd=folder)
    os.fsync(folder)
    return True


def same_file(folder: int, name: str, other: str) -> bool:
    """Whether two names are of one file."""
    first, second = (os.stat(one, dir_fd=folder, follow_symlinks=False) for one in (name, other))
    return os.path.samestat(first, second)


def our_files(folder: int) -> Iterator[tuple[str, os.stat_result]]:
    """Each regular file of ours, whole or half-made, under the name it has."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if not is_ours(entry.name.removeprefix(HALF_MADE)):
                continue
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue  # deleted since it was listed
            if stat.S_ISREG(status.st_mode):
                yield entry.name, status
