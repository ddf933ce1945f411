"""The tables, one module a resource."""

from db.models.audit import Audit, AuditDifference, AuditPart
from db.models.base import Base, new_id, utcnow
from db.models.dead_letter import DeadLetter
from db.models.flow import Flow, FlowStep, Hold, IdempotencyKey
from db.models.pool import Backend, Claim, Node, Pool, Residue
from db.models.quota import Quota, QuotaClass, QuotaUsage, Reservation
from db.models.sweeper import Clock, QueueProbe
from db.models.volume import Volume, object_name
from db.models.volume_type import DEFAULT_TYPE_NAME, VolumeType, VolumeTypeAccess

__all__ = [
    "DEFAULT_TYPE_NAME",
    "Audit",
    "AuditDifference",
    "AuditPart",
    "Backend",
    "Base",
    "Claim",
    "Clock",
    "DeadLetter",
    "Flow",
    "FlowStep",
    "Hold",
    "IdempotencyKey",
    "Node",
    "Pool",
    "QueueProbe",
    "Quota",
    "QuotaClass",
    "QuotaUsage",
    "Reservation",
    "Residue",
    "Volume",
    "VolumeType",
    "VolumeTypeAccess",
    "new_id",
    "object_name",
    "utcnow",
]
