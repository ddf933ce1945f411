"""The tables, one module a resource."""

from typing import TypeAlias

from db.models.attachment import Attachment
from db.models.audit import Audit, AuditDifference, AuditPart
from db.models.base import Base, new_id, utcnow
from db.models.dead_letter import DeadLetter
from db.models.flow import Flow, FlowStep, Hold, IdempotencyKey
from db.models.group import Group, GroupSnapshot, GroupType, GroupVolumeType
from db.models.message import UserMessage
from db.models.pool import Backend, Claim, Node, Pool, Residue
from db.models.qos import QosSpec
from db.models.quota import Quota, QuotaClass, QuotaUsage, Reservation
from db.models.snapshot import Snapshot, snapshot_object_name
from db.models.sweeper import Clock, QueueProbe
from db.models.transfer import Transfer
from db.models.volume import Volume, object_name
from db.models.volume_type import (
    DEFAULT_TYPE_NAME,
    DefaultVolumeType,
    VolumeType,
    VolumeTypeAccess,
    VolumeTypeEncryption,
)

Ownable: TypeAlias = Volume | Snapshot | Attachment | Group | GroupSnapshot
"""What a flow may own: it has a status, the owning flow's id, and an epoch."""

OWNABLE: dict[str, type[Ownable]] = {
    "volume": Volume,
    "snapshot": Snapshot,
    "attachment": Attachment,
    "group": Group,
    "group_snapshot": GroupSnapshot,
}
"""By the first part of a flow's kind."""

__all__ = [
    "DEFAULT_TYPE_NAME",
    "OWNABLE",
    "Attachment",
    "Audit",
    "AuditDifference",
    "AuditPart",
    "Backend",
    "Base",
    "Claim",
    "Clock",
    "DeadLetter",
    "DefaultVolumeType",
    "Flow",
    "FlowStep",
    "Group",
    "GroupSnapshot",
    "GroupType",
    "GroupVolumeType",
    "Hold",
    "IdempotencyKey",
    "Node",
    "Ownable",
    "Pool",
    "QosSpec",
    "QueueProbe",
    "Quota",
    "QuotaClass",
    "QuotaUsage",
    "Reservation",
    "Residue",
    "Snapshot",
    "Transfer",
    "UserMessage",
    "Volume",
    "VolumeType",
    "VolumeTypeAccess",
    "VolumeTypeEncryption",
    "new_id",
    "object_name",
    "snapshot_object_name",
    "utcnow",
]
