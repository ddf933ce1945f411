"""Which snapshots a list shows: the query parameters that are filters, as conditions."""

from sqlalchemy import ColumnElement, or_, select

from api import filters
from db.models import Snapshot, Volume

SORTABLE = {
    "id": Snapshot.id,
    "name": Snapshot.name,
    "display_name": Snapshot.name,
    "status": Snapshot.status,
    "size": Snapshot.size,
    "volume_size": Snapshot.size,
    "volume_id": Snapshot.volume_id,
    "created_at": Snapshot.created_at,
    "updated_at": Snapshot.updated_at,
    "project_id": Snapshot.project_id,
    "user_id": Snapshot.user_id,
}


def conditions() -> list[ColumnElement[bool]]:
    """Whose snapshots, and which of them; raises ApiError (400)."""
    return filters.conditions(Snapshot.project_id, FILTERS, ADMIN_FILTERS)


def _of_volumes(*those: ColumnElement[bool]) -> ColumnElement[bool]:
    return Snapshot.volume_id.in_(select(Volume.id).where(*those))


def _host(value: str) -> ColumnElement[bool]:
    """A host, a backend or a pool: where the volume is."""
    below = (Volume.host.startswith(f"{value}{mark}", autoescape=True) for mark in "@#")
    return _of_volumes(or_(Volume.host == value, *below))


FILTERS: dict[str, filters.Filter] = {
    "id": filters.equal(Snapshot.id),
    "name": filters.equal(Snapshot.name),
    "display_name": filters.equal(Snapshot.name),
    "name~": filters.like(Snapshot.name),
    "description~": filters.like(Snapshot.description),
    "status": filters.equal(Snapshot.status),
    "volume_id": filters.equal(Snapshot.volume_id),
    "metadata": filters.metadata(Snapshot.meta),
    "availability_zone": lambda value: _of_volumes(Volume.availability_zone == value),
    "consumes_quota": filters.boolean(Snapshot.consumes_quota, "consumes_quota"),
    "group_snapshot_id": filters.equal(Snapshot.group_snapshot_id),
}

ADMIN_FILTERS: dict[str, filters.Filter] = {
    "host": _host,
    "user_id": filters.equal(Snapshot.user_id),
    "project_id": filters.equal(Snapshot.project_id),
    "tenant_id": filters.equal(Snapshot.project_id),
}
