import copy
import errno
import os

import pytest

from drivers import errors
from drivers.errors import (
    BackendUnavailable,
    DriverError,
    DriverFailed,
    DriverTimeout,
    NotSupported,
    ObjectBusy,
    OutOfSpace,
    from_os_error,
    os_errors,
)

ALL = [
    (BackendUnavailable, "clean"),
    (OutOfSpace, "clean"),
    (ObjectBusy, "clean"),
    (NotSupported, "clean"),
    (DriverFailed, "dirty"),
    (DriverTimeout, "unknown"),
]


@pytest.mark.parametrize(("kind", "left"), ALL)
def test_each_type_says_what_is_left_and_a_raiser_may_know_better(
    kind: type[DriverError], left: str
) -> None:
    assert kind("why").left == left
    assert kind("why", left="dirty").left == "dirty"
    assert kind("why").left == left


def test_the_docstring_is_the_message() -> None:
    assert str(OutOfSpace()) == "The back end has no room"
    assert str(OutOfSpace("7 GiB asked")) == "The back end has no room: 7 GiB asked"


def test_the_docstring_of_the_module_names_every_type() -> None:
    kinds = [
        name
        for name, one in vars(errors).items()
        if isinstance(one, type) and issubclass(one, Exception) and not name.startswith("_")
    ]

    assert len(kinds) == 12
    for kind in kinds:
        assert f" {kind}" in (errors.__doc__ or "")


def test_an_error_keeps_what_it_says_when_copied() -> None:
    error = copy.copy(OutOfSpace("why", left="dirty"))

    assert str(error) == "The back end has no room: why"
    assert error.left == "dirty"


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, OutOfSpace),
        (errno.EDQUOT, OutOfSpace),
        (errno.EROFS, BackendUnavailable),
        (errno.ENOENT, BackendUnavailable),
        (errno.EACCES, BackendUnavailable),
        (errno.ESTALE, BackendUnavailable),
        (errno.ENOTCONN, BackendUnavailable),
        (errno.EBUSY, ObjectBusy),
        (errno.EFBIG, NotSupported),
        (errno.ETIMEDOUT, DriverTimeout),
        (errno.EIO, DriverFailed),
    ],
)
def test_an_error_of_the_system_becomes_one_of_ours(number: int, kind: type[DriverError]) -> None:
    with pytest.raises(DriverError) as caught, os_errors("create x"):
        raise OSError(number, os.strerror(number))

    assert type(caught.value) is kind
    assert caught.value.reason == f"create x: {os.strerror(number)}"
    assert caught.value.left == kind.left
    assert isinstance(caught.value.__cause__, OSError)


def test_what_is_left_may_be_given_for_an_error_of_the_system() -> None:
    assert from_os_error(OSError(errno.ENOSPC, "full"), "x", left="dirty").left == "dirty"
    assert isinstance(from_os_error(OSError("no number"), "x"), DriverFailed)
