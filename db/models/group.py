"""Groups of volumes, their types, and the snapshots of whole groups."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base, Json, Uuid, new_id, utcnow


class GroupType(Base):
    """A group type: a name and the group specs."""

    __tablename__ = "group_types"

    id: Mapped[str] = mapped_column(Uuid, primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(String(255), unique=True)
    description: Mapped[str | None] = mapped_column(Text)
    is_public: Mapped[bool] = mapped_column(default=True)
    group_specs: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    updated_at: Mapped[datetime | None] = mapped_column(onupdate=utcnow)


class Group(Base):
    """A group of volumes on one backend; a consistency group is one of the consistent kind."""

    __tablename__ = "groups"

    id: Mapped[str] = mapped_column(Uuid, primary_key=True)
    project_id: Mapped[str] = mapped_column(String(255))
    user_id: Mapped[str] = mapped_column(String(255))
    name: Mapped[str | None] = mapped_column(String(255))
    description: Mapped[str | None] = mapped_column(Text)
    status: Mapped[str] = mapped_column(String(32))
    visible: Mapped[bool] = mapped_column(default=False)
    group_type_id: Mapped[str] = mapped_column(ForeignKey("group_types.id"))
    availability_zone: Mapped[str | None] = mapped_column(String(255))
    host: Mapped[str | None] = mapped_column(String(255))
    group_snapshot_id: Mapped[str | None] = mapped_column(Uuid)
    source_group_id: Mapped[str | None] = mapped_column(Uuid)
    replication_status: Mapped[str | None] = mapped_column(String(36))
    charged_count: Mapped[int] = mapped_column(default=0)

    flow_id: Mapped[str | None] = mapped_column(Uuid)
    epoch: Mapped[int] = mapped_column(default=0)

    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    updated_at: Mapped[datetime | None] = mapped_column(onupdate=utcnow)

    __table_args__ = (
        Index("ix_groups_project_created", "project_id", "created_at", "id"),
        Index("ix_groups_created", "created_at", "id"),
        Index("ix_groups_flow", "flow_id"),
        Index("ix_groups_type", "group_type_id"),
    )


class GroupVolumeType(Base):
    """A volume type that a group's volumes may have."""

    __tablename__ = "group_volume_types"

    group_id: Mapped[str] = mapped_column(
        ForeignKey("groups.id", ondelete="CASCADE"), primary_key=True
    )
    volume_type_id: Mapped[str] = mapped_column(ForeignKey("volume_types.id"), primary_key=True)

    __table_args__ = (Index("ix_group_volume_types_type", "volume_type_id"),)


class GroupSnapshot(Base):
    """Snapshots of all volumes of a group, taken together."""

    __tablename__ = "group_snapshots"

    id: Mapped[str] = mapped_column(Uuid, primary_key=True)
    project_id: Mapped[str] = mapped_column(String(255))
    user_id: Mapped[str] = mapped_column(String(255))
    group_id: Mapped[str] = mapped_column(ForeignKey("groups.id"))
    group_type_id: Mapped[str] = mapped_column(ForeignKey("group_types.id"))
    name: Mapped[str | None] = mapped_column(String(255))
    description: Mapped[str | None] = mapped_column(Text)
    status: Mapped[str] = mapped_column(String(32))
    visible: Mapped[bool] = mapped_column(default=False)

    flow_id: Mapped[str | None] = mapped_column(Uuid)
    epoch: Mapped[int] = mapped_column(default=0)

    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    updated_at: Mapped[datetime | None] = mapped_column(onupdate=utcnow)

    __table_args__ = (
        Index("ix_group_snapshots_project_created", "project_id", "created_at", "id"),
        Index("ix_group_snapshots_created", "created_at", "id"),
        Index("ix_group_snapshots_group", "group_id"),
        Index("ix_group_snapshots_flow", "flow_id"),
    )
