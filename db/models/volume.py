"""Volumes."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base, Json, Uuid, utcnow


class Volume(Base):
    """One volume, what it was charged, what it takes in its pool, and the flow that owns it.

    `charged_*` is what quota usage counts for this row, `allocated_gib` what the pool counts; both
    change only in the transaction that changes the counter. `epoch` only ever grows: it fences
    messages of older flows and attempts, on the node too.
    """

    __tablename__ = "volumes"

    id: Mapped[str] = mapped_column(Uuid, primary_key=True)
    project_id: Mapped[str] = mapped_column(String(255))
    user_id: Mapped[str] = mapped_column(String(255))
    name: Mapped[str | None] = mapped_column(String(255))
    description: Mapped[str | None] = mapped_column(Text)
    size: Mapped[int]
    status: Mapped[str] = mapped_column(String(32))
    visible: Mapped[bool] = mapped_column(default=False)
    attach_status: Mapped[str] = mapped_column(String(32), default="detached")
    previous_status: Mapped[str | None] = mapped_column(String(32))
    migration_status: Mapped[str | None] = mapped_column(String(32))
    replication_status: Mapped[str | None] = mapped_column(String(32))
    readonly: Mapped[bool | None]
    bootable: Mapped[bool] = mapped_column(default=False)
    multiattach: Mapped[bool] = mapped_column(default=False)
    volume_type_id: Mapped[str | None] = mapped_column(ForeignKey("volume_types.id"))
    availability_zone: Mapped[str | None] = mapped_column(String(255))
    meta: Mapped[dict[str, Any]] = mapped_column("metadata", Json, default=dict)
    image_meta: Mapped[dict[str, Any]] = mapped_column("image_metadata", Json, default=dict)
    consumes_quota: Mapped[bool] = mapped_column(default=True)
    encryption_key_id: Mapped[str | None] = mapped_column(Uuid)
    snapshot_id: Mapped[str | None] = mapped_column(Uuid)
    source_volid: Mapped[str | None] = mapped_column(Uuid)
    group_id: Mapped[str | None] = mapped_column(Uuid)

    host: Mapped[str | None] = mapped_column(String(255))
    pool_id: Mapped[int | None] = mapped_column(ForeignKey("pools.id"))
    provider_location: Mapped[str | None] = mapped_column(Text)
    generation: Mapped[int] = mapped_column(default=0)
    allocated_gib: Mapped[int] = mapped_column(default=0)

    charged_count: Mapped[int] = mapped_column(default=0)
    charged_gib: Mapped[int] = mapped_column(default=0)
    charged_type_id: Mapped[str | None] = mapped_column(Uuid)

    flow_id: Mapped[str | None] = mapped_column(Uuid)
    epoch: Mapped[int] = mapped_column(default=0)

    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    updated_at: Mapped[datetime | None] = mapped_column(onupdate=utcnow)
    launched_at: Mapped[datetime | None]

    __table_args__ = (
        Index("ix_volumes_project_created", "project_id", "created_at", "id"),
        Index("ix_volumes_created", "created_at", "id"),
        Index("ix_volumes_project_name", "project_id", "name"),
        Index("ix_volumes_project_status", "project_id", "status"),
        Index("ix_volumes_flow", "flow_id"),
        Index("ix_volumes_type", "volume_type_id"),
        Index("ix_volumes_group", "group_id"),
        Index("ix_volumes_snapshot", "snapshot_id"),
        Index("ix_volumes_source", "source_volid"),
        Index("ix_volumes_pool", "pool_id"),
    )

    @property
    def object_name(self) -> str:
        """The volume's name on its back end."""
        return object_name(self.id, self.generation)


def object_name(volume_id: str, generation: int) -> str:
    """The name on a back end: from the UUID, and from the generation once there is a second one."""
    return f"volume-{volume_id}" + (f".{generation}" if generation else "")
