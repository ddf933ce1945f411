"""The files of a file back end: how they are opened and grown, adopted and released."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from drivers.base import GIB, MAX_SIZE_GIB, Adopted, Driver, Manages, ObjectRef
from drivers.copying import has_writer
from drivers.errors import DriverError, DriverFailed, InvalidReference, from_os_error, os_errors
from drivers.folder import Folder, closing, open_file, rename, same_file
from drivers.image import Image
from drivers.names import UNMANAGED, Manageable, What, is_ours, manageable, source_name


class FileManages(Driver, Manages):
    """The files in `_folder`, each of which is an `_image`."""

    _folder: Folder
    _image: Image

    def manageable(self, what: What) -> Iterator[Manageable]:
        with os_errors(f"list {self._folder.path}"), self._folder.opened() as folder:
            with os.scandir(folder) as entries:
                names = sorted(entry.name for entry in entries if _is_plain(entry.name))
            judged = [(name, *self._judged(folder, name)) for name in names]
        found = (manageable(what, name, -(-size // GIB), why) for name, size, why in judged)
        return (one for one in found if one is not None)

    def adopt(self, ref: ObjectRef, reference: Mapping[str, str]) -> Adopted:
        """The file is enlarged to a whole number of GiB first, and from then on for us only."""
        name, ours = source_name(reference), ref.object_name
        if not _is_plain(name):
            raise InvalidReference(f"{name!r} is not the name of a file in {self._folder.path}")
        with os_errors(f"adopt {name}"), self._folder.opened() as folder:
            if self._size(folder, ours) is None:
                self._take_over(folder, name, ours)
            elif self._size(folder, name) is not None and not same_file(folder, name, ours):
                raise DriverFailed(f"{ours} is there already", left="clean")
            else:
                # Crash: an earlier call may have died before its end.
                with suppress(FileNotFoundError):
                    rename(folder, name, ours)
                os.fsync(folder)
            size = self._size(folder, ours) or 0
        return Adopted(str(self._folder.path / ours), size // GIB)

    def release(self, ref: ObjectRef, name: str | None = None) -> None:
        ours = ref.object_name
        former = name if name and _is_plain(name) and not is_ours(name) else None
        with os_errors(f"release {ours}"), self._folder.opened() as folder:
            try:
                if former and rename(folder, ours, former):
                    return
                if not rename(folder, ours, UNMANAGED + ours):
                    raise DriverFailed(f"{UNMANAGED}{ours} is there already", left="clean")
            except FileNotFoundError:
                # Crash: an earlier release may not have lived to flush the folder.
                os.fsync(folder)

    def _take_over(self, folder: int, name: str, ours: str) -> None:
        size, reason = self._judged(folder, name)
        if reason is not None:
            raise InvalidReference(f"{name}: {reason}")
        with self._existing(folder, name, os.O_RDWR) as file:
            self._image.allot(file)
            target = -(-size // GIB) * GIB
            if size < target:
                self._grow(file, name, target)
            os.fchmod(file, 0o600)
            os.fsync(file)
        if not rename(folder, name, ours):
            raise DriverFailed(f"{ours} is there already", left="clean")

    def _judged(self, folder: int, name: str) -> tuple[int, str | None]:
        """Size in bytes of a file, and why it cannot be adopted."""
        try:
            file = open_file(folder, name, os.O_RDWR)
        except OSError as error:
            return 0, str(error.strerror)
        except DriverError as error:
            return 0, error.reason
        with closing(file):
            try:
                self._image.examine(file)
                size = self._image.size(file)
            except DriverError as error:
                return os.fstat(file).st_size, error.reason
            return size, _objection(file, size)

    @contextmanager
    def _existing(self, folder: int, name: str, flags: int = os.O_RDONLY) -> Iterator[int]:
        """A file that must be there, opened. Raises DriverFailed."""
        try:
            file = open_file(folder, name, flags)
        except FileNotFoundError as error:
            raise DriverFailed(f"{name} is not there", left="clean") from error
        with closing(file):
            yield file

    def _grow(self, file: int, name: str, target: int) -> None:
        before = self._image.size(file)
        try:
            self._image.grow(file, target)
        except (OSError, DriverError) as error:
            failure = driver_error(error, f"extend {name}")
            failure.left = "dirty"
            with suppress(OSError, DriverError):
                if self._image.size(file) == before:
                    failure.left = "clean"
            raise failure from error

    def _size(self, folder: int, name: str) -> int | None:
        """Virtual size in bytes, None if there is no such file."""
        try:
            file = open_file(folder, name, os.O_RDONLY)
        except FileNotFoundError:
            return None
        with closing(file):
            return self._image.size(file)


def _objection(file: int, size: int) -> str | None:
    if not size:
        return "it is empty"
    if size > MAX_SIZE_GIB * GIB:
        return "it is too large"
    if os.fstat(file).st_nlink > 1:
        return "it has a second name"
    return "a virtual machine writes to it" if has_writer(file) else None


def _is_plain(name: str) -> bool:
    """Whether it can be the name of a file that is seen in the folder, and nothing but that."""
    try:
        name.encode()
    except UnicodeEncodeError:  # bytes that are no text: it could not be sent back either
        return False
    return not name.startswith(".") and "/" not in name and "\0" not in name


def driver_error(error: OSError | DriverError, doing: str) -> DriverError:
    """The error as a driver error."""
    return error if isinstance(error, DriverError) else from_os_error(error, doing)
