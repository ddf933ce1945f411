"""A snapshot as the API shows it."""

from typing import Any

from sqlalchemy import select

from api.links import time_text
from api.microversion import at_least
from api.paging import AnyRow, AnySelect
from api.policy import allowed
from db.models import Snapshot

ATTRIBUTES = "os-extended-snapshot-attributes"

SHOWN: AnySelect = select(
    Snapshot.id,
    Snapshot.project_id,
    Snapshot.user_id,
    Snapshot.volume_id,
    Snapshot.name,
    Snapshot.description,
    Snapshot.size,
    Snapshot.status,
    Snapshot.progress,
    Snapshot.meta.label("meta"),
    Snapshot.consumes_quota,
    Snapshot.group_snapshot_id,
    Snapshot.created_at,
    Snapshot.updated_at,
).where(Snapshot.visible.is_(True))
"""The columns that the views below read, of every snapshot that was admitted."""


def summary(row: AnyRow) -> dict[str, Any]:
    """The short form, for the plain list."""
    return {
        "id": row.id,
        "created_at": time_text(row.created_at),
        "updated_at": time_text(row.updated_at),
        "name": row.name,
        "description": row.description,
        "volume_id": row.volume_id,
        "status": row.status,
        "size": row.size,
        "metadata": row.meta,
    }


def created(row: AnyRow) -> dict[str, Any]:
    """The form in which a create or an update answers."""
    snapshot = summary(row)
    if at_least(14):
        snapshot["group_snapshot_id"] = row.group_snapshot_id
    if at_least(41):
        snapshot["user_id"] = row.user_id
    if at_least(65):
        snapshot["consumes_quota"] = row.consumes_quota
    return snapshot


def detail(row: AnyRow) -> dict[str, Any]:
    """The long form."""
    snapshot = created(row)
    if allowed("volume_extension:extended_snapshot_attributes", row.project_id):
        snapshot[f"{ATTRIBUTES}:project_id"] = row.project_id
        snapshot[f"{ATTRIBUTES}:progress"] = row.progress
    return snapshot
