"""Messages to users about what failed after their request was accepted."""

from datetime import datetime

from sqlalchemy import Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base, Uuid, new_id, utcnow


class UserMessage(Base):
    """One message; `event_id`, `action_id` and `detail_id` are codes for what its text says."""

    __tablename__ = "messages"

    id: Mapped[str] = mapped_column(Uuid, primary_key=True, default=new_id)
    project_id: Mapped[str] = mapped_column(String(255))
    request_id: Mapped[str] = mapped_column(String(64))
    flow_id: Mapped[str | None] = mapped_column(Uuid)
    resource_type: Mapped[str | None] = mapped_column(String(255))
    resource_uuid: Mapped[str | None] = mapped_column(String(255))
    event_id: Mapped[str] = mapped_column(String(255))
    action_id: Mapped[str] = mapped_column(String(10))
    detail_id: Mapped[str] = mapped_column(String(10))
    message_level: Mapped[str] = mapped_column(String(16))
    user_message: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    expires_at: Mapped[datetime]

    __table_args__ = (
        Index("ix_messages_project_created", "project_id", "created_at", "id"),
        Index("ix_messages_created", "created_at", "id"),
        Index("ix_messages_resource", "resource_uuid"),
        Index("ix_messages_expires", "expires_at"),
    )
