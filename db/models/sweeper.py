"""The sweeper's logical clock, and which queues have answered it."""

from datetime import datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base, utcnow


class Clock(Base):
    """One row: how often the sweeper has run. Progress is measured in ticks, so that a wall clock
    that jumps makes no flow look lost and no node look down."""

    __tablename__ = "clock"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    tick: Mapped[int] = mapped_column(default=0)
    at: Mapped[datetime] = mapped_column(default=utcnow)


class QueueProbe(Base):
    """The newest tick whose probe came out at the far end of a queue.

    Queues are first in, first out: a message older than an answered probe is no longer waiting.
    """

    __tablename__ = "queue_probes"

    queue: Mapped[str] = mapped_column(String(255), primary_key=True)
    answered_tick: Mapped[int] = mapped_column(default=0)
    since_tick: Mapped[int] = mapped_column(default=0)
