"""Messages that could not be understood."""

from datetime import datetime
from typing import Any

from sqlalchemy import String, Text
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base, Json, Uuid, new_id, utcnow


class DeadLetter(Base):
    """A message that its receiver could not work on, kept as it was, with the reason."""

    __tablename__ = "dead_letters"

    id: Mapped[str] = mapped_column(Uuid, primary_key=True, default=new_id)
    task: Mapped[str] = mapped_column(String(255))
    reason: Mapped[str] = mapped_column(Text)
    message: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
