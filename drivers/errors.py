"""What a driver may raise.

    DriverError                  left      a call on a back end failed
    ├── BackendUnavailable       clean     the storage cannot be reached or used
    ├── OutOfSpace               clean     it has no room
    ├── ObjectBusy               clean     something else holds the object
    ├── NotSupported             clean     it cannot do what was asked
    ├── InvalidConnector         clean     the connector does not say what this back end needs
    ├── InvalidReference         clean     the reference names nothing that could be adopted
    ├── DriverFailed             dirty     it failed in any other way
    └── DriverTimeout            unknown   it did not answer in time

    BackendMisconfigured                   the configuration names no usable back end
    ├── UnknownDriver
    └── InvalidOptions

`left` is what a failed call left behind, next to the moment before the call:

* ``clean``: nothing. A create made nothing, a delete removed nothing, an extend grew nothing;
* ``dirty``: something may be half done, and calling the undo (or the same call again) settles it;
* ``unknown``: the back end gave no answer, and may still be at work.

A raiser that knows better than the type says so: ``OutOfSpace("…", left="dirty")``.
The first line of an exception's docstring is its message.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

Left = Literal["clean", "dirty", "unknown"]


class _Described(Exception):
    """Something failed."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        summary = (type(self).__doc__ or type(self).__name__).strip().splitlines()[0].rstrip(".")
        return f"{summary}: {self.reason}" if self.reason else summary


class DriverError(_Described):
    """The storage driver failed."""

    left: Left = "dirty"

    def __init__(self, reason: str = "", *, left: Left | None = None) -> None:
        super().__init__(reason)
        if left is not None:
            self.left = left


class BackendUnavailable(DriverError):
    """The back end cannot be used."""

    left: Left = "clean"


class OutOfSpace(DriverError):
    """The back end has no room."""

    left: Left = "clean"


class ObjectBusy(DriverError):
    """The object is in use."""

    left: Left = "clean"


class NotSupported(DriverError):
    """The back end cannot do this."""

    left: Left = "clean"


class InvalidConnector(DriverError):
    """The connector lacks what the back end needs."""

    left: Left = "clean"


class InvalidReference(DriverError):
    """The reference names nothing that can be managed."""

    left: Left = "clean"


class DriverFailed(DriverError):
    """The back end failed."""

    left: Left = "dirty"


class DriverTimeout(DriverError):
    """The back end did not answer in time."""

    left: Left = "unknown"


class BackendMisconfigured(_Described, ValueError):
    """The back end is not configured correctly."""


class UnknownDriver(BackendMisconfigured):
    """There is no such driver."""


class InvalidOptions(BackendMisconfigured):
    """The options of the back end are not valid."""


_BY_ERRNO: dict[int, type[DriverError]] = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), OutOfSpace),
    **dict.fromkeys((errno.EBUSY, errno.ETXTBSY, errno.EAGAIN), ObjectBusy),
    **dict.fromkeys((errno.EFBIG, errno.EOPNOTSUPP), NotSupported),
    **dict.fromkeys(
        (
            errno.ENOENT,
            errno.ENOTDIR,
            errno.EROFS,
            errno.EACCES,
            errno.EPERM,
            errno.ESTALE,
            errno.ENODEV,
            errno.ENXIO,
            errno.ENOTCONN,
            errno.EHOSTDOWN,
            errno.EHOSTUNREACH,
        ),
        BackendUnavailable,
    ),
    errno.ETIMEDOUT: DriverTimeout,
}


def from_os_error(error: OSError, doing: str, *, left: Left | None = None) -> DriverError:
    """The driver error for an operating-system error met while `doing` (“create volume-…”).

    `left` overrides what the type says is left behind. A missing file means a missing back
    end: a driver for which an absent object is normal handles FileNotFoundError itself.
    """
    kind = _BY_ERRNO.get(error.errno or 0, DriverFailed)
    return kind(f"{doing}: {error.strerror or error}", left=left)


@contextmanager
def os_errors(doing: str) -> Iterator[None]:
    """Translate every OSError of the block, as `from_os_error` does."""
    try:
        yield
    except OSError as error:
        raise from_os_error(error, doing) from error
