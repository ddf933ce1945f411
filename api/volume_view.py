"""A volume as the API shows it."""

from typing import Any

from sqlalchemy import select

from api.context import current
from api.links import of, time_text
from api.paging import AnyRow, AnySelect
from db.models import Volume, VolumeType

COLLECTION = "volumes"

SHOWN_STATUS = {
    "managing": "creating",
    "error_managing": "error",
    "error_managing_deleting": "deleting",
}
"""Statuses of taking over a volume are shown as those that clients know, as in Cinder."""


SHOWN: AnySelect = (
    select(
        Volume.id,
        Volume.project_id,
        Volume.user_id,
        Volume.name,
        Volume.description,
        Volume.size,
        Volume.status,
        Volume.bootable,
        Volume.multiattach,
        Volume.volume_type_id,
        VolumeType.name.label("type_name"),
        Volume.availability_zone,
        Volume.meta.label("meta"),
        Volume.host,
        Volume.provider_location,
        Volume.created_at,
        Volume.updated_at,
    )
    .outerjoin(VolumeType, VolumeType.id == Volume.volume_type_id)
    .where(Volume.visible.is_(True))
)
"""The columns that the views below read, of every volume that was admitted."""


def summary(row: AnyRow) -> dict[str, Any]:
    """The short form, for the plain list."""
    return {"id": row.id, "name": row.name, "links": of(COLLECTION, row.id)}


def created(row: AnyRow) -> dict[str, Any]:
    """The long form without the attributes that only a look at the volume shows."""
    volume = {
        "id": row.id,
        "status": SHOWN_STATUS.get(row.status, row.status),
        "size": row.size,
        "availability_zone": row.availability_zone,
        "created_at": time_text(row.created_at),
        "updated_at": time_text(row.updated_at),
        "name": row.name,
        "description": row.description,
        "volume_type": row.type_name,
        "snapshot_id": None,
        "source_volid": None,
        "metadata": row.meta,
        "links": of(COLLECTION, row.id),
        "user_id": row.user_id,
        "bootable": "true" if row.bootable else "false",
        "encrypted": False,
        "replication_status": None,
        "consistencygroup_id": None,
        "multiattach": row.multiattach,
        "attachments": [],
    }
    who = current()
    is_admin, minor = who.is_admin, who.microversion[1]
    if is_admin:
        volume["migration_status"] = None
    if minor >= 13:
        volume["group_id"] = None
    if minor >= 21 and is_admin:
        volume["provider_id"] = None
    if minor >= 48:
        volume["service_uuid"] = None
        volume["shared_targets"] = False
    if minor >= 61 and is_admin:
        volume["cluster_name"] = None
    if minor >= 63:
        volume["volume_type_id"] = row.volume_type_id
    if minor >= 65:
        volume["consumes_quota"] = True
    return volume


def detail(row: AnyRow) -> dict[str, Any]:
    """The long form."""
    volume = created(row)
    volume["os-vol-tenant-attr:tenant_id"] = row.project_id
    if current().is_admin:
        volume["os-vol-host-attr:host"] = row.host
        volume["os-vol-mig-status-attr:migstat"] = None
        volume["os-vol-mig-status-attr:name_id"] = None
    return volume
