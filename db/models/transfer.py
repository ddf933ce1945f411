"""Transfers of volumes between projects."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base, Uuid, new_id, utcnow


class Transfer(Base):
    """An offer of a volume; who has its key may accept it. Only a salted hash of the key is kept.

    Accepting sets `accepted` and `destination_project_id`, and ends the offer.
    """

    __tablename__ = "transfers"

    id: Mapped[str] = mapped_column(Uuid, primary_key=True, default=new_id)
    volume_id: Mapped[str] = mapped_column(ForeignKey("volumes.id", ondelete="CASCADE"))
    name: Mapped[str | None] = mapped_column(String(255))
    salt: Mapped[str] = mapped_column(String(64))
    key_hash: Mapped[str] = mapped_column(String(128))
    no_snapshots: Mapped[bool] = mapped_column(default=False)
    accepted: Mapped[bool] = mapped_column(default=False)
    source_project_id: Mapped[str] = mapped_column(String(255))
    destination_project_id: Mapped[str | None] = mapped_column(String(255))
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    updated_at: Mapped[datetime | None] = mapped_column(onupdate=utcnow)

    __table_args__ = (
        Index("ix_transfers_project_created", "source_project_id", "created_at", "id"),
        Index("ix_transfers_created", "created_at", "id"),
        Index("ix_transfers_volume", "volume_id"),
    )
