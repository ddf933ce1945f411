"""A volume as the API shows it."""

import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import select

from api.context import current
from api.links import of, time_text
from api.paging import AnyRow, AnySelect
from api.policy import allowed
from db.models import Attachment, Group, GroupType, Volume, VolumeType
from db.transactions import reading

COLLECTION = "volumes"

ATTACHED = "attached"

CONSISTENCY_GROUP_TYPE = "default_cgsnapshot_type"
"""Groups of this type are shown as consistency groups, which came before groups."""

_SERVICES = uuid.UUID("1b6f1d0e-6f2b-4b4e-9a55-2f3f6a7c9d10")

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
        Volume.migration_status,
        Volume.replication_status,
        Volume.readonly,
        Volume.image_meta.label("image_meta"),
        Volume.consumes_quota,
        Volume.encryption_key_id,
        Volume.snapshot_id,
        Volume.source_volid,
        Volume.group_id,
        GroupType.name.label("group_type_name"),
        Volume.created_at,
        Volume.updated_at,
    )
    .outerjoin(VolumeType, VolumeType.id == Volume.volume_type_id)
    .outerjoin(Group, Group.id == Volume.group_id)
    .outerjoin(GroupType, GroupType.id == Group.group_type_id)
    .where(Volume.visible.is_(True))
)
"""The columns that the views below read, of every volume that was admitted."""


def summary(row: AnyRow) -> dict[str, Any]:
    """The short form, for the plain list."""
    return {"id": row.id, "name": row.name, "links": of(COLLECTION, row.id)}


def created(row: AnyRow) -> dict[str, Any]:
    """The long form without the attributes that only a look at the volume shows."""
    in_consistency_group = row.group_type_name == CONSISTENCY_GROUP_TYPE
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
        "snapshot_id": row.snapshot_id,
        "source_volid": row.source_volid,
        "metadata": _metadata(row),
        "links": of(COLLECTION, row.id),
        "user_id": row.user_id,
        "bootable": "true" if row.bootable else "false",
        "encrypted": row.encryption_key_id is not None,
        "replication_status": row.replication_status,
        "consistencygroup_id": row.group_id if in_consistency_group else None,
        "multiattach": row.multiattach,
        "attachments": [],
    }
    who = current()
    is_admin, minor = who.is_admin, who.microversion[1]
    if is_admin:
        volume["migration_status"] = row.migration_status
    if minor >= 13:
        volume["group_id"] = None if in_consistency_group else row.group_id
    if minor >= 21 and is_admin:
        volume["provider_id"] = None
    if minor >= 48:
        volume["service_uuid"] = _service_id(row.host)
        volume["shared_targets"] = False
    if minor >= 61 and is_admin:
        volume["cluster_name"] = None
    if minor >= 63:
        volume["volume_type_id"] = row.volume_type_id
    if minor >= 64 and row.encryption_key_id is not None:
        volume["encryption_key_id"] = row.encryption_key_id
    if minor >= 65:
        volume["consumes_quota"] = row.consumes_quota
    return volume


def detail(row: AnyRow) -> dict[str, Any]:
    """The long form, apart from what is in other tables (see `complete`)."""
    volume = created(row)
    if allowed("volume_extension:volume_tenant_attribute"):
        volume["os-vol-tenant-attr:tenant_id"] = row.project_id
    if allowed("volume_extension:volume_host_attribute"):
        volume["os-vol-host-attr:host"] = row.host
    if allowed("volume_extension:volume_mig_status_attribute"):
        volume["os-vol-mig-status-attr:migstat"] = row.migration_status
        volume["os-vol-mig-status-attr:name_id"] = None
    if row.image_meta and allowed("volume_extension:volume_image_metadata:show"):
        volume["volume_image_metadata"] = row.image_meta
    return volume


def complete(volumes: Sequence[dict[str, Any]]) -> None:
    """Add the attachments to long forms: one query for all of them."""
    by_id = {volume["id"]: volume for volume in volumes}
    if not by_id:
        return
    query = (
        select(Attachment)
        .where(Attachment.volume_id.in_(by_id), Attachment.status == ATTACHED)
        .order_by(Attachment.created_at, Attachment.id)
    )
    with reading() as tx:
        for attachment in tx.scalars(query):
            by_id[attachment.volume_id]["attachments"].append(_attachment(attachment))


def _attachment(attachment: Attachment) -> dict[str, Any]:
    """An attachment as a volume shows it: its host is for administrators."""
    return {
        "id": attachment.volume_id,
        "attachment_id": attachment.id,
        "volume_id": attachment.volume_id,
        "server_id": attachment.instance_id,
        "host_name": attachment.attached_host if current().is_admin else None,
        "device": attachment.mountpoint,
        "attached_at": time_text(attachment.attach_time),
    }


def _metadata(row: AnyRow) -> dict[str, str]:
    """The metadata; whether a volume may be written to is shown in it once it has been said."""
    metadata: dict[str, str] = row.meta
    return metadata if row.readonly is None else {**metadata, "readonly": str(row.readonly)}


def _service_id(host: str | None) -> str | None:
    """An id of the backend that a volume is on, by which hosts that attach volumes tell backends
    apart: made from its name, so the same everywhere and always."""
    return None if host is None else str(uuid.uuid5(_SERVICES, host.partition("#")[0]))
