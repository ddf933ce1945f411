"""The faults that the fake driver can be told to have.

A table names, for each call of a driver, the faults to try in order:

    {"create": [{"fault": "fail_after", "left": "dirty", "times": 1, "match": "volume-*"}]}

=============  ====================================================================
fail_before    nothing is done, then an error (left: clean)
fail_after     the call is done, then an error (left: dirty)
lose           the call is done, then DriverTimeout: the answer is lost (left: unknown)
hang           the call waits `seconds`, or until the fault is taken out of the file
=============  ====================================================================

`left` overrides what the error says; `times` is how often the fault strikes in this process (-1:
always, the default); `match` is a pattern for the object's name; `message` is the error's reason.
"""

import json
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from marshmallow import Schema, ValidationError, fields, post_load, validate

from drivers.errors import (
    BackendUnavailable,
    DriverError,
    DriverFailed,
    DriverTimeout,
    Left,
)

CALLS = (
    *("check", "report", "create", "delete", "extend", "size_of", "objects"),
    *("create_snapshot", "delete_snapshot", "create_from_snapshot", "create_clone", "revert"),
    *("connect", "disconnect", "manageable", "adopt", "release"),
)
KINDS = ("fail_before", "fail_after", "hang", "lose")

_LEFT: dict[str, Left] = {"fail_before": "clean", "fail_after": "dirty", "lose": "unknown"}
_GLANCE = 0.05  # seconds between two looks of a hanging call at the table


@dataclass(slots=True, eq=False)
class Fault:
    """One fault, and how often it has still to strike."""

    fault: str
    left: Left | None
    times: int
    match: str
    seconds: float
    message: str

    def error(self, call: str) -> DriverError:
        """What the caller gets."""
        left = self.left or _LEFT.get(self.fault, "dirty")
        if self.fault == "lose":
            return DriverTimeout(self.message, left=left)
        if call in ("check", "report"):
            return BackendUnavailable(self.message, left=left)
        return DriverFailed(self.message, left=left)


class FaultSchema(Schema):
    """One fault of a table."""

    fault = fields.String(required=True, validate=validate.OneOf(KINDS))
    left = fields.String(load_default=None, validate=validate.OneOf(["clean", "dirty", "unknown"]))
    times = fields.Integer(load_default=-1, validate=validate.Range(min=-1))
    match = fields.String(load_default="*")
    seconds = fields.Float(load_default=3600.0, validate=validate.Range(min=0))
    message = fields.String(load_default="the fake was told to fail")

    @post_load
    def _fault(self, data: dict[str, Any], **_: Any) -> Fault:
        return Fault(**data)


def faults_field() -> fields.Dict:
    """The table as an option of a driver."""
    return fields.Dict(
        keys=fields.String(validate=validate.OneOf(CALLS)),
        values=fields.List(fields.Nested(FaultSchema)),
        load_default=dict,
    )


def write_faults(path: Path, table: Mapping[str, Any]) -> None:
    """Put a table into a faults file in one move, as a running driver needs it."""
    new = path.with_name(f".{path.name}.new")
    new.write_text(json.dumps(table))
    new.rename(path)


class Faults:
    """The faults of one driver: those of its options, then those of its file. Thread-safe.

    The file is read again when it has changed; counts then start afresh. A missing file is an
    empty table; a file that is not a table raises BackendUnavailable from the next call.
    """

    def __init__(self, table: Mapping[str, list[Fault]], path: Path | None) -> None:
        self._lock = threading.Lock()
        self._fixed = table
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._read: Mapping[str, list[Fault]] = {}

    @contextmanager
    def around(self, call: str, name: str = "") -> Iterator[None]:
        """Run a call of the driver with the faults it is to have."""
        fault = self._strike(call, name)
        if fault is None:
            yield
            return
        if fault.fault == "fail_before":
            raise fault.error(call)
        if fault.fault == "hang":
            self._hang(fault, call, name)
        yield
        if fault.fault in ("fail_after", "lose"):
            raise fault.error(call)

    def _strike(self, call: str, name: str) -> Fault | None:
        if self._path is None and not self._fixed:
            return None
        with self._lock:
            for fault in self._standing(call):
                if fault.times != 0 and fnmatchcase(name, fault.match):
                    if fault.times > 0:
                        fault.times -= 1
                    return fault
        return None

    def _hang(self, fault: Fault, call: str, name: str) -> None:
        end = time.monotonic() + fault.seconds
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, _GLANCE))
            with self._lock:
                # Not this very fault: the file may have been read anew since.
                if not any(
                    other.fault == "hang" and fnmatchcase(name, other.match)
                    for other in self._standing(call)
                ):
                    return

    def _standing(self, call: str) -> list[Fault]:
        self._refresh()
        return [*self._fixed.get(call, ()), *self._read.get(call, ())]

    def _refresh(self) -> None:
        if self._path is None:
            return
        try:
            status = self._path.stat()
        except FileNotFoundError:
            self._seen, self._read = None, {}
            return
        seen = (status.st_mtime_ns, status.st_size, status.st_ino)
        if seen == self._seen:
            return
        try:
            self._read = faults_field().deserialize(json.loads(self._path.read_bytes()))
        except (OSError, ValueError, ValidationError) as error:
            raise BackendUnavailable(f"{os.fspath(self._path)}: {error}") from error
        self._seen = seen
