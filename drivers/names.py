"""Names of objects on a back end: ours, and those of objects that are not ours, or not yet."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from drivers.errors import InvalidReference

_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
VOLUME_NAME = re.compile(rf"volume-{_UUID}(?:\.[1-9][0-9]{{0,8}})?")
"""The only names that volumes on a back end have; a generation above 0 follows a dot."""
SNAPSHOT_NAME = re.compile(rf"snapshot-{_UUID}")
"""The only names that snapshots on a back end have; none is ever made a second time."""


def is_ours(name: str) -> bool:
    """Whether an object on a back end has a name that only we give."""
    return bool(VOLUME_NAME.fullmatch(name) or SNAPSHOT_NAME.fullmatch(name))


UNMANAGED = "unmanaged-"
"""What stands before the name of an object that was released."""

What = Literal["volumes", "snapshots"]


@dataclass(frozen=True, slots=True)
class Manageable:
    """An object on the storage, ours or not, as a list of what could be adopted tells of it."""

    reference: dict[str, str]
    """What `adopt` is to be given: one of ``source-name`` and ``source-id``."""
    size_gib: int
    """Rounded up."""
    object_name: str | None = None
    """Its name if it is ours already."""
    reason: str | None = None
    """Why it cannot be adopted; None if it can."""


def manageable(
    what: What, name: str, size_gib: int, reason: str | None = None
) -> Manageable | None:
    """An object that `adopt` knows by its name; None if it is ours as something else."""
    if not is_ours(name):
        return Manageable({"source-name": name}, size_gib, None, reason)
    if name.startswith("volume-") != (what == "volumes"):
        return None
    return Manageable({"source-name": name}, size_gib, name, "already managed")


def source_name(reference: Mapping[str, str]) -> str:
    """The name of an object that is not ours. Raises InvalidReference."""
    name = reference.get("source-name")
    if not name or not isinstance(name, str):
        raise InvalidReference("objects are referred to by source-name here")
    if is_ours(name):
        raise InvalidReference(f"{name} is managed already")
    return name
