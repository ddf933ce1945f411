"""Volumes as files in one folder: raw (sparse or allocated) or qcow2.

A volume is made under ``.making-<name>`` and renamed when it is whole and on the disk, so that
a crash leaves either nothing, a volume, or a half-made file that names its volume. Everything
in the folder is reached through the opened folder and without following symbolic links.

The folder carries a marker, ``.breezeblock``: when a file system that should be mounted there
is not, the marker is missing, and the back end is down rather than filling what is underneath.
Where the folder is such a mount point, set ``create_folder = false`` and put an empty marker
on the mounted file system once; then a node that starts before the mount waits for it too.
"""

import errno
import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from drivers.base import (
    GIB,
    JSON,
    Created,
    Driver,
    DriverOptions,
    PoolReport,
    VolumeRef,
    checked_size,
)
from drivers.errors import (
    BackendUnavailable,
    DriverError,
    DriverFailed,
    NotSupported,
    from_os_error,
    os_errors,
)
from drivers.image import Image, Qcow2Image, RawImage, qemu_img_installed
from drivers.names import VOLUME_NAME

MARKER = ".breezeblock"
HALF_MADE = ".making-"

_IMAGES: dict[str, type[Image]] = {image.format: image for image in (RawImage, Qcow2Image)}
_SAFELY = os.O_NOFOLLOW | os.O_CLOEXEC


class FileOptions(DriverOptions):
    """Options of a file back end."""

    folder = fields.String(required=True, validate=validate.Length(1))
    """Path of the folder; a relative one starts where the node was started."""
    create_folder = fields.Boolean(load_default=True)
    """Make the folder and its marker at the first check; false: both must be there."""
    format = fields.String(load_default="raw", validate=validate.OneOf(list(_IMAGES)))
    allocation = fields.String(load_default="thin", validate=validate.OneOf(["thin", "thick"]))
    """thin: files grow as they are written; thick: the room is taken at once."""
    pool = fields.String(load_default=None, validate=validate.Regexp(r"[\w.-]{1,128}\Z"))
    """Name of the only pool; the back end's own name unless set."""
    total_gib = fields.Float(load_default=None, validate=validate.Range(min=0, min_inclusive=False))
    """Report no more than this, in GiB, although the file system is larger."""

    @validates_schema
    def _tools_are_there(self, data: dict[str, Any], **_: Any) -> None:
        if data["format"] == Qcow2Image.format and not qemu_img_installed():
            raise ValidationError("needs qemu-img: install qemu-utils", "format")


class FileDriver(Driver):
    """One folder, which is one pool."""

    name = "file"
    protocol = "file"
    options_schema = FileOptions

    def __init__(self, backend: str, options: Mapping[str, Any]) -> None:
        super().__init__(backend, options)
        self._folder = Path(options["folder"]).absolute()
        self._pool: str = options["pool"] or backend
        self._thick = options["allocation"] == "thick"
        self._image = _IMAGES[options["format"]](
            thick=self._thick, timeout=options["operation_timeout"]
        )
        self._prepared = False

    def check(self) -> None:
        with _must_work(f"check {self._folder}"), self._opened() as folder:
            if os.fstatvfs(folder).f_flag & os.ST_RDONLY:
                raise BackendUnavailable(f"{self._folder} is on a read-only file system")
            if not os.access(self._folder, os.R_OK | os.W_OK | os.X_OK):
                raise BackendUnavailable(f"{self._folder} cannot be written by this user")

    def report(self) -> list[PoolReport]:
        with os_errors(f"measure {self._folder}"), self._opened() as folder:
            ours = sum(entry.st_blocks * 512 for _, entry in self._files(folder))
            system = os.fstatvfs(folder)
        total = system.f_blocks * system.f_frsize
        free = system.f_bavail * system.f_frsize
        # What only root may use counts as taken: a promise must not depend on who runs the node.
        foreign = max(0, total - free - ours)
        if self.options["total_gib"] is not None:
            total = min(total, int(self.options["total_gib"] * GIB))
            free = max(0, min(free, total - ours))
            foreign = 0
        return [
            self.pool_report(
                self._pool,
                total_gib=total / GIB,
                free_gib=free / GIB,
                foreign_gib=foreign / GIB,
                thin=not self._thick,
                capabilities={"format": self._image.format, "qcow2": self._image.format == "qcow2"},
            )
        ]

    def create(self, volume: VolumeRef) -> Created:
        if volume.pool != self._pool:
            raise NotSupported(f"no pool {volume.pool!r} here, only {self._pool!r}")
        name = volume.object_name
        with os_errors(f"create {name}"), self._opened() as folder:
            # Crash: an earlier create of this volume may have died before its rename.
            _unlink(folder, HALF_MADE + name)
            size = self._size(folder, name)
            if size is None:
                self._make(folder, volume)
            elif size != volume.size_gib * GIB:
                raise DriverFailed(f"{name} is there with {size} bytes", left="clean")
            else:
                # Crash: renamed by an earlier create that did not live to flush the folder.
                os.fsync(folder)
        return Created(provider_location=str(self._folder / name))

    def delete(self, volume: VolumeRef) -> None:
        name = volume.object_name
        with os_errors(f"delete {name}"), self._opened() as folder:
            _unlink(folder, HALF_MADE + name)
            _unlink(folder, name)
            # Also when nothing was there: an earlier delete may not have lived to flush.
            os.fsync(folder)

    def extend(self, volume: VolumeRef, size_gib: int) -> None:
        name, target = volume.object_name, checked_size(size_gib) * GIB
        with os_errors(f"extend {name}"), self._opened() as folder:
            try:
                file = _open_file(folder, name, os.O_RDWR)
            except FileNotFoundError as error:
                raise DriverFailed(f"extend {name}: it is not there", left="clean") from error
            with _closing(file):
                if self._image.size(file) < target:
                    self._grow(file, name, target)
                os.fsync(file)

    def size_of(self, volume: VolumeRef) -> int | None:
        with os_errors(f"measure {volume.object_name}"), self._opened() as folder:
            size = self._size(folder, volume.object_name)
        return None if size is None else size // GIB

    def objects(self) -> Iterator[tuple[str, int]]:
        found: dict[str, int] = {}
        with os_errors(f"list {self._folder}"), self._opened() as folder:
            for name, _ in self._files(folder):
                if name.startswith(HALF_MADE):
                    found.setdefault(name.removeprefix(HALF_MADE), 0)
                    continue
                try:
                    size = self._size(folder, name)
                except DriverFailed:
                    size = 0  # not an image at all: listed, so that the audit names it
                if size is not None:
                    found[name] = size // GIB
        return iter(found.items())

    # -- the folder --------------------------------------------------------------------------

    @contextmanager
    def _opened(self) -> Iterator[int]:
        """The folder, opened; raises BackendUnavailable unless it is there and is ours."""
        if not self._prepared:
            self._prepare()
        with _must_work(f"open {self._folder}"):
            folder = os.open(self._folder, os.O_DIRECTORY | os.O_CLOEXEC)
        with _closing(folder):
            with _must_work(f"read {self._folder / MARKER}"):
                marker = self._marker(folder)
            if marker is None:
                raise BackendUnavailable(f"{self._folder} has lost its {MARKER}: a lost mount?")
            if marker != self._identity():
                raise BackendUnavailable(f"{self._folder} belongs to {marker}")
            yield folder

    def _prepare(self) -> None:
        """Make what is missing, once in the life of this driver: later it was lost."""
        with _must_work(f"prepare {self._folder}"):
            if self.options["create_folder"]:
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder = os.open(self._folder, os.O_DIRECTORY | os.O_CLOEXEC)
            with _closing(folder):
                marker = self._marker(folder)
                if marker is None and not self.options["create_folder"]:
                    raise BackendUnavailable(
                        f"{self._folder} has no {MARKER}: is it mounted? If it is and is new, "
                        f"make an empty file of that name in it"
                    )
                if not marker:
                    self._write_marker(folder)
        self._prepared = True

    def _identity(self) -> dict[str, JSON]:
        """What the marker says. With the format: an image must not be read as another."""
        return {"backend": self.backend, "format": self._image.format}

    def _marker(self, folder: int) -> dict[str, JSON] | None:
        """The content of the marker; {} if it is empty, None if there is none."""
        try:
            file = os.open(MARKER, os.O_RDONLY | _SAFELY, dir_fd=folder)
        except FileNotFoundError:
            return None
        with _closing(file):
            text = os.read(file, 4096)
        try:
            return dict(json.loads(text)) if text.strip() else {}
        except (ValueError, TypeError) as error:
            raise BackendUnavailable(f"{self._folder / MARKER} is not ours") from error

    def _write_marker(self, folder: int) -> None:
        # Crash: between the two lines the marker is empty, which the next start fills in.
        file = os.open(MARKER, os.O_WRONLY | os.O_CREAT | _SAFELY, 0o600, dir_fd=folder)
        with _closing(file):
            os.write(file, json.dumps(self._identity()).encode())
            os.fsync(file)
        os.fsync(folder)

    # -- the files in it ---------------------------------------------------------------------

    def _make(self, folder: int, volume: VolumeRef) -> None:
        name = volume.object_name
        half = HALF_MADE + name
        try:
            file = _open_file(folder, half, os.O_RDWR | os.O_CREAT | os.O_EXCL)
            with _closing(file):
                self._image.make(file, volume.size_gib * GIB)
                os.fsync(file)
            os.rename(half, name, src_dir_fd=folder, dst_dir_fd=folder)
            os.fsync(folder)
        except (OSError, DriverError) as error:
            failure = _driver_error(error, f"create {name}")
            failure.left = "clean"
            try:
                _unlink(folder, half)
                _unlink(folder, name)
                os.fsync(folder)
            except OSError as second:
                # The first error is the one that says what is wrong.
                failure.left = "dirty"
                failure.add_note(f"and what was made could not be removed: {second.strerror}")
            raise failure from error

    def _grow(self, file: int, name: str, target: int) -> None:
        before = self._image.size(file)
        try:
            self._image.grow(file, target)
        except (OSError, DriverError) as error:
            failure = _driver_error(error, f"extend {name}")
            failure.left = "dirty"
            with suppress(OSError, DriverError):
                if self._image.size(file) == before:
                    failure.left = "clean"
            raise failure from error

    def _size(self, folder: int, name: str) -> int | None:
        """Virtual size in bytes, None if there is no such file."""
        try:
            file = _open_file(folder, name, os.O_RDONLY)
        except FileNotFoundError:
            return None
        with _closing(file):
            return self._image.size(file)

    def _files(self, folder: int) -> Iterator[tuple[str, os.stat_result]]:
        """Each regular file of ours, whole or half-made, under the name it has."""
        with os.scandir(folder) as entries:
            for entry in entries:
                if not VOLUME_NAME.fullmatch(entry.name.removeprefix(HALF_MADE)):
                    continue
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue  # deleted since it was listed
                if stat.S_ISREG(status.st_mode):
                    yield entry.name, status


@contextmanager
def _closing(fd: int) -> Iterator[None]:
    try:
        yield
    finally:
        os.close(fd)


@contextmanager
def _must_work(doing: str) -> Iterator[None]:
    """Before anything is touched every error, a full disk too, means: not now."""
    try:
        yield
    except OSError as error:
        raise BackendUnavailable(f"{doing}: {error.strerror}") from error


def _driver_error(error: OSError | DriverError, doing: str) -> DriverError:
    return error if isinstance(error, DriverError) else from_os_error(error, doing)


def _open_file(folder: int, name: str, flags: int) -> int:
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


def _unlink(folder: int, name: str) -> None:
    """Remove a regular file of the folder; nothing if it is not there."""
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if not stat.S_ISREG(status.st_mode):
            raise DriverFailed(f"{name} is not a regular file", left="clean")
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        return
