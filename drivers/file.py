"""Volumes as files in one folder: raw (sparse or allocated) or qcow2.

A volume is made under ``.making-<name>`` and renamed when it is whole and on the disk, so that
a crash leaves either nothing, a volume, or a half-made file that names its volume. A snapshot is a
file as well: a copy that shares its blocks with the volume where the file system can do that (XFS,
Btrfs), and a sparse copy elsewhere, so neither depends on the other.

Where the folder is a mount point, set ``create_folder = false`` and put an empty marker (see
`drivers.folder`) on the mounted file system once; then a node that starts before the mount waits
for it too.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from drivers.base import (
    GIB,
    Clones,
    Connection,
    Connects,
    Created,
    DriverOptions,
    Mode,
    PoolReport,
    Reverts,
    SnapshotRef,
    Snapshots,
    VolumeRef,
    checked_size,
    required,
)
from drivers.copying import has_writer
from drivers.errors import (
    BackendUnavailable,
    DriverError,
    DriverFailed,
    NotSupported,
    ObjectBusy,
    from_os_error,
    os_errors,
)
from drivers.file_manage import FileManages, driver_error
from drivers.folder import HALF_MADE, Folder, closing, must_work, open_file, our_files, unlink
from drivers.image import Image, Qcow2Image, RawImage, qemu_img_installed

_IMAGES: dict[str, type[Image]] = {image.format: image for image in (RawImage, Qcow2Image)}


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


class FileDriver(FileManages, Snapshots, Clones, Reverts, Connects):
    """One folder, which is one pool."""

    name = "file"
    protocol = "file"
    options_schema = FileOptions

    def __init__(self, backend: str, options: Mapping[str, Any]) -> None:
        super().__init__(backend, options)
        self._pool: str = options["pool"] or backend
        self._thick = options["allocation"] == "thick"
        self._image = _IMAGES[options["format"]](
            thick=self._thick, timeout=options["operation_timeout"]
        )
        self._folder = Folder(
            Path(options["folder"]).absolute(),
            # With the format: an image must not be read as another.
            {"backend": backend, "format": self._image.format},
            create=options["create_folder"],
        )

    def check(self) -> None:
        path = self._folder.path
        with must_work(f"check {path}"), self._folder.opened() as folder:
            if os.fstatvfs(folder).f_flag & os.ST_RDONLY:
                raise BackendUnavailable(f"{path} is on a read-only file system")
            if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
                raise BackendUnavailable(f"{path} cannot be written by this user")

    def report(self) -> list[PoolReport]:
        with os_errors(f"measure {self._folder.path}"), self._folder.opened() as folder:
            ours = sum(entry.st_blocks * 512 for _, entry in our_files(folder))
            system = os.fstatvfs(folder)
        total = system.f_blocks * system.f_frsize
        free = system.f_bavail * system.f_frsize
        # What only root may use counts as taken: a promise must not depend on who runs the node.
        # Blocks that our files share count in each of them, so there may be more than are used.
        foreign = max(0, total - free - ours)
        if self.options["total_gib"] is not None:
            total = min(total, int(self.options["total_gib"] * GIB))
            free = max(0, min(free, total - ours))
            foreign = 0
        raw = isinstance(self._image, RawImage)
        return [
            self.pool_report(
                self._pool,
                total_gib=total / GIB,
                free_gib=free / GIB,
                foreign_gib=foreign / GIB,
                thin=not self._thick,
                capabilities={
                    "format": self._image.format,
                    "qcow2": not raw,
                    # A qcow2 image has its metadata in the memory of the one who writes to it.
                    "multiattach": raw,
                    "online_extend": raw,
                },
            )
        ]

    def create(self, volume: VolumeRef) -> Created:
        return self._made(volume, lambda file: self._image.make(file, volume.size_gib * GIB))

    def delete(self, volume: VolumeRef) -> None:
        self._delete(volume.object_name)

    def extend(self, volume: VolumeRef, size_gib: int) -> None:
        name, target = volume.object_name, checked_size(size_gib) * GIB
        with (
            os_errors(f"extend {name}"),
            self._folder.opened() as folder,
            self._existing(folder, name, os.O_RDWR) as file,
        ):
            if self._image.size(file) < target:
                self._grow(file, name, target)
            os.fsync(file)

    def size_of(self, volume: VolumeRef) -> int | None:
        with os_errors(f"measure {volume.object_name}"), self._folder.opened() as folder:
            size = self._size(folder, volume.object_name)
        return None if size is None else size // GIB

    def objects(self) -> Iterator[tuple[str, int]]:
        found: dict[str, int] = {}
        with os_errors(f"list {self._folder.path}"), self._folder.opened() as folder:
            for name, _ in our_files(folder):
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

    def create_snapshot(self, snapshot: SnapshotRef, volume: VolumeRef) -> Created:
        return self._copied(snapshot, volume)

    def delete_snapshot(self, snapshot: SnapshotRef, volume: VolumeRef) -> None:
        del volume
        self._delete(snapshot.object_name)

    def create_from_snapshot(self, volume: VolumeRef, snapshot: SnapshotRef) -> Created:
        return self._copied(volume, snapshot)

    def create_clone(self, volume: VolumeRef, source: VolumeRef) -> Created:
        return self._copied(volume, source)

    def revert(self, volume: VolumeRef, snapshot: SnapshotRef) -> None:
        name, doing = volume.object_name, f"revert {volume.object_name}"
        with os_errors(doing), self._folder.opened() as folder:
            unlink(folder, HALF_MADE + name)
            with self._existing(folder, name) as file:
                if has_writer(file):
                    raise ObjectBusy(f"a virtual machine writes to {name}")
                size = self._image.size(file)
            with self._existing(folder, snapshot.object_name) as source:
                self._fill(folder, name, doing, lambda file: self._copy(source, file, size))
            try:
                os.rename(HALF_MADE + name, name, src_dir_fd=folder, dst_dir_fd=folder)
                os.fsync(folder)
            except OSError as error:
                raise from_os_error(error, doing, left="dirty") from error

    def connect(
        self, volume: VolumeRef, name: str, connector: Mapping[str, Any], mode: Mode
    ) -> Connection:
        """For who runs on this machine: os-brick's ``local`` connector opens the file itself."""
        del name
        required(connector, "host")
        if self.size_of(volume) is None:
            raise DriverFailed(f"no {volume.object_name}", left="clean")
        return {
            "driver_volume_type": "local",
            "data": {
                "device_path": str(self._folder.path / volume.object_name),
                "access_mode": mode,
                "format": self._image.format,
            },
        }

    def disconnect(self, volume: VolumeRef, name: str, connector: Mapping[str, Any] | None) -> None:
        """Nothing was made for the connection, so there is nothing to remove."""
        del volume, name, connector

    # -- the files ---------------------------------------------------------------------------

    def _copied(self, made: VolumeRef | SnapshotRef, source: VolumeRef | SnapshotRef) -> Created:
        def fill(file: int) -> None:
            # Opened when it is needed: what is there already does not need its source any more.
            with (
                self._folder.opened() as folder,
                self._existing(folder, source.object_name) as original,
            ):
                self._copy(original, file, made.size_gib * GIB)

        return self._made(made, fill)

    def _copy(self, source: int, file: int, size: int) -> None:
        """Make `file` a copy, grown to `size` bytes."""
        held = self._image.size(source)
        if held > size:
            raise NotSupported(f"{size} bytes, less than the {held} of the source")
        self._image.copy(source, file)
        if held < size:
            self._image.grow(file, size)

    def _made(self, made: VolumeRef | SnapshotRef, fill: Callable[[int], None]) -> Created:
        """The object, which `fill` makes in an empty file unless it is there already."""
        if made.pool != self._pool:
            raise NotSupported(f"no pool {made.pool!r} here, only {self._pool!r}")
        name = made.object_name
        with os_errors(f"create {name}"), self._folder.opened() as folder:
            # Crash: an earlier create of this object may have died before its rename.
            unlink(folder, HALF_MADE + name)
            size = self._size(folder, name)
            if size is None:
                self._make(folder, name, fill)
            elif size != made.size_gib * GIB:
                raise DriverFailed(f"{name} is there with {size} bytes", left="clean")
            else:
                # Crash: renamed by an earlier create that did not live to flush the folder.
                os.fsync(folder)
        return Created(provider_location=str(self._folder.path / name))

    def _make(self, folder: int, name: str, fill: Callable[[int], None]) -> None:
        doing = f"create {name}"
        self._fill(folder, name, doing, fill)
        try:
            os.rename(HALF_MADE + name, name, src_dir_fd=folder, dst_dir_fd=folder)
            os.fsync(folder)
        except OSError as error:
            raise _cleared(folder, (HALF_MADE + name, name), from_os_error(error, doing)) from error

    def _fill(self, folder: int, name: str, doing: str, fill: Callable[[int], None]) -> None:
        """Have `fill` make the half-made file of this object, whole and on the disk, or none."""
        half = HALF_MADE + name
        try:
            with closing(open_file(folder, half, os.O_RDWR | os.O_CREAT | os.O_EXCL)) as file:
                fill(file)
                os.fsync(file)
        except (OSError, DriverError) as error:
            raise _cleared(folder, (half,), driver_error(error, doing)) from error

    def _delete(self, name: str) -> None:
        with os_errors(f"delete {name}"), self._folder.opened() as folder:
            unlink(folder, HALF_MADE + name)
            unlink(folder, name)
            # Also when nothing was there: an earlier delete may not have lived to flush.
            os.fsync(folder)


def _cleared(folder: int, names: tuple[str, ...], failure: DriverError) -> DriverError:
    """The failure of something that made these files, which are removed."""
    failure.left = "clean"
    try:
        for name in names:
            unlink(folder, name)
        os.fsync(folder)
    except OSError as second:
        # The first error is the one that says what is wrong.
        failure.left = "dirty"
        failure.add_note(f"and what was made could not be removed: {second.strerror}")
    return failure
