"""Snapshots of volumes."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base, Json, Uuid, utcnow


class Snapshot(Base):
    """One snapshot, in the pool of its volume; charges, ownership and epoch are as a volume's.

    `size` is the volume's in GiB when it was taken. `allocated_gib` is what it takes in the pool:
    its size where a snapshot takes its room at once, 0 where it grows only as the volume changes.
    """

    __tablename__ = "snapshots"

    id: Mapped[str] = mapped_column(Uuid, primary_key=True)
    project_id: Mapped[str] = mapped_column(String(255))
    user_id: Mapped[str] = mapped_column(String(255))
    volume_id: Mapped[str] = mapped_column(ForeignKey("volumes.id"))
    name: Mapped[str | None] = mapped_column(String(255))
    description: Mapped[str | None] = mapped_column(Text)
    size: Mapped[int]
    status: Mapped[str] = mapped_column(String(32))
    progress: Mapped[str | None] = mapped_column(String(16))
    visible: Mapped[bool] = mapped_column(default=False)
    volume_type_id: Mapped[str | None] = mapped_column(ForeignKey("volume_types.id"))
    meta: Mapped[dict[str, Any]] = mapped_column("metadata", Json, default=dict)
    consumes_quota: Mapped[bool] = mapped_column(default=True)
    group_snapshot_id: Mapped[str | None] = mapped_column(ForeignKey("group_snapshots.id"))

    pool_id: Mapped[int | None] = mapped_column(ForeignKey("pools.id"))
    provider_location: Mapped[str | None] = mapped_column(Text)
    allocated_gib: Mapped[int] = mapped_column(default=0)

    charged_count: Mapped[int] = mapped_column(default=0)
    charged_gib: Mapped[int] = mapped_column(default=0)
    charged_type_id: Mapped[str | None] = mapped_column(Uuid)

    flow_id: Mapped[str | None] = mapped_column(Uuid)
    epoch: Mapped[int] = mapped_column(default=0)

    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    updated_at: Mapped[datetime | None] = mapped_column(onupdate=utcnow)

    __table_args__ = (
        Index("ix_snapshots_project_created", "project_id", "created_at", "id"),
        Index("ix_snapshots_created", "created_at", "id"),
        Index("ix_snapshots_project_name", "project_id", "name"),
        Index("ix_snapshots_project_status", "project_id", "status"),
        Index("ix_snapshots_volume", "volume_id"),
        Index("ix_snapshots_flow", "flow_id"),
        Index("ix_snapshots_type", "volume_type_id"),
        Index("ix_snapshots_pool", "pool_id"),
        Index("ix_snapshots_group_snapshot", "group_snapshot_id"),
    )

    @property
    def object_name(self) -> str:
        """The snapshot's name on its back end."""
        return snapshot_object_name(self.id)


def snapshot_object_name(snapshot_id: str) -> str:
    """The name on a back end, from the UUID; a snapshot is never made a second time."""
    return f"snapshot-{snapshot_id}"
