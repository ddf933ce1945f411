"""Which volumes a list shows: the query parameters that are filters, as conditions."""

from sqlalchemy import ColumnElement, or_, true

from api import filters
from api.errors import ApiError
from api.microversion import at_least
from api.schemas.fields import MAX_SIZE
from db.models import Volume, VolumeType

SORTABLE = {
    "id": Volume.id,
    "name": Volume.name,
    "display_name": Volume.name,
    "status": Volume.status,
    "size": Volume.size,
    "availability_zone": Volume.availability_zone,
    "bootable": Volume.bootable,
    "created_at": Volume.created_at,
    "updated_at": Volume.updated_at,
    "host": Volume.host,
    "project_id": Volume.project_id,
    "user_id": Volume.user_id,
    "volume_type_id": Volume.volume_type_id,
}


def conditions() -> list[ColumnElement[bool]]:
    """Whose volumes, and which of them; raises ApiError (400)."""
    return filters.conditions(Volume.project_id, FILTERS, ADMIN_FILTERS)


def _size(value: str) -> ColumnElement[bool]:
    if not (value.isascii() and value.isdigit() and len(value) < 20 and int(value) <= MAX_SIZE):
        raise ApiError(400, f"Invalid value {value!r} for the filter size: an integer of GiB.")
    return Volume.size == int(value)


def _migration(value: str) -> ColumnElement[bool]:
    """A volume that has never migrated has no status of it, which clients call none."""
    if value.lower() == "none":
        return Volume.migration_status.is_(None)
    return Volume.migration_status == value


def _image_metadata(value: str) -> ColumnElement[bool]:
    """From 3.4 on; before it does nothing."""
    if not at_least(4):
        return true()
    return filters.metadata(Volume.image_meta)(value)


def _consumes_quota(value: str) -> ColumnElement[bool]:
    """From 3.65 on; before it does nothing."""
    if not at_least(65):
        return true()
    return filters.boolean(Volume.consumes_quota, "consumes_quota")(value)


def _group(value: str) -> ColumnElement[bool]:
    """From 3.10 on; before it does nothing."""
    return Volume.group_id == value if at_least(10) else true()


def _host(value: str) -> ColumnElement[bool]:
    """A host, a backend or a pool."""
    return or_(
        Volume.host == value,
        Volume.host.startswith(f"{value}@", autoescape=True),
        Volume.host.startswith(f"{value}#", autoescape=True),
    )


FILTERS: dict[str, filters.Filter] = {
    "name": filters.equal(Volume.name),
    "display_name": filters.equal(Volume.name),
    "name~": filters.like(Volume.name),
    "description~": filters.like(Volume.description),
    "status": filters.equal(Volume.status),
    "metadata": filters.metadata(Volume.meta),
    "bootable": filters.boolean(Volume.bootable, "bootable"),
    "availability_zone": filters.equal(Volume.availability_zone),
    "size": _size,
    "volume_type": lambda value: or_(VolumeType.name == value, VolumeType.id == value),
    "volume_type_id": filters.equal(Volume.volume_type_id),
    "created_at": filters.time(Volume.created_at),
    "updated_at": filters.time(Volume.updated_at),
    "migration_status": _migration,
    "replication_status": filters.equal(Volume.replication_status),
    "attach_status": filters.equal(Volume.attach_status),
    "multiattach": filters.boolean(Volume.multiattach, "multiattach"),
    "group_id": _group,
    "consistencygroup_id": filters.equal(Volume.group_id),
    "snapshot_id": filters.equal(Volume.snapshot_id),
    "source_volid": filters.equal(Volume.source_volid),
    "glance_metadata": _image_metadata,
    "consumes_quota": _consumes_quota,
}

ADMIN_FILTERS: dict[str, filters.Filter] = {
    "id": filters.equal(Volume.id),
    "host": _host,
    "user_id": filters.equal(Volume.user_id),
    "project_id": filters.equal(Volume.project_id),
    "tenant_id": filters.equal(Volume.project_id),
}
