"""Attachments of volumes to instances and hosts."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base, NullableJson, Uuid, new_id, utcnow


class Attachment(Base):
    """One attachment: reserved, then connected (it has a connector), then attached.

    `status` is what the API calls attach_status. `connection_info` is what the node answered to the
    connector, without secrets. `attach_mode` is rw, ro, or null until it is known. `epoch` fences
    what the node is asked to do for it.
    """

    __tablename__ = "attachments"

    id: Mapped[str] = mapped_column(Uuid, primary_key=True, default=new_id)
    volume_id: Mapped[str] = mapped_column(ForeignKey("volumes.id"))
    project_id: Mapped[str] = mapped_column(String(255))
    user_id: Mapped[str] = mapped_column(String(255))
    instance_id: Mapped[str | None] = mapped_column(Uuid)
    attached_host: Mapped[str | None] = mapped_column(String(255))
    mountpoint: Mapped[str | None] = mapped_column(String(255))
    attach_mode: Mapped[str | None] = mapped_column(String(36))
    status: Mapped[str] = mapped_column(String(32))
    connector: Mapped[dict[str, Any] | None] = mapped_column(NullableJson)
    connection_info: Mapped[dict[str, Any] | None] = mapped_column(NullableJson)
    attach_time: Mapped[datetime | None]
    detach_time: Mapped[datetime | None]

    flow_id: Mapped[str | None] = mapped_column(Uuid)
    epoch: Mapped[int] = mapped_column(default=0)

    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    updated_at: Mapped[datetime | None] = mapped_column(onupdate=utcnow)

    __table_args__ = (
        Index("ix_attachments_project_created", "project_id", "created_at", "id"),
        Index("ix_attachments_created", "created_at", "id"),
        Index("ix_attachments_volume", "volume_id"),
        Index("ix_attachments_instance", "instance_id"),
        Index("ix_attachments_flow", "flow_id"),
    )
