"""Audits: what was asked of the nodes, what they answered, and the differences that were found."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base, Json, Uuid, new_id, utcnow

COLLECTING = "collecting"
"""The nodes list what their back ends hold."""
CONFIRMING = "confirming"
"""What looked like a difference is looked at a second time."""
DONE = "done"
"""The differences are known."""
REPAIRING = "repairing"
"""They are being mended."""
REPAIRED = "repaired"
"""Each difference has its outcome."""

WAITING = (COLLECTING, CONFIRMING)
WORKING = (*WAITING, REPAIRING)

ASKED = "asked"
"""A back end has been asked for its list."""
ANSWERED = "answered"
"""Its list came, as often as it was asked for."""
UNASKED = "unasked"
"""It could not be asked, or gave no whole answer; `reason` says why."""


class Audit(Base):
    """One comparison of the rows with each other and with what the back ends hold.

    `backends` maps `host@backend` to its `state`, `reason` and number of `objects`; `asked` are
    those that the present `round` waits for, until `deadline` (`timeout` seconds from its begin).
    """

    __tablename__ = "audits"

    id: Mapped[str] = mapped_column(Uuid, primary_key=True, default=new_id)
    request_id: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(16), default=COLLECTING)
    round: Mapped[int] = mapped_column(default=1)
    asked: Mapped[list[str]] = mapped_column(Json, default=list)
    backends: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)
    timeout: Mapped[float]
    deadline: Mapped[datetime]
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    finished_at: Mapped[datetime | None]

    __table_args__ = (Index("ix_audits_created", "created_at"),)


class AuditPart(Base):
    """One message of a back end's list: pairs of object name and GiB; kept until all have come.

    A back end that was asked twice makes two lists; `listing` tells their parts from each other.
    """

    __tablename__ = "audit_parts"

    audit_id: Mapped[str] = mapped_column(
        ForeignKey("audits.id", ondelete="CASCADE"), primary_key=True
    )
    round: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    backend: Mapped[str] = mapped_column(String(255), primary_key=True)
    listing: Mapped[str] = mapped_column(Uuid, primary_key=True)
    part: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    last: Mapped[bool]
    error: Mapped[str | None] = mapped_column(Text)
    objects: Mapped[list[Any]] = mapped_column(Json, default=list)


class AuditDifference(Base):
    """One difference; a candidate until it is `confirmed` by the second look.

    `place` and `subject` name what differs: a pool and its column, a back end and an object, a
    project and a resource, a flow. `epoch` is that of the volume when it was compared. `outcome` is
    what became of the repair.
    """

    __tablename__ = "audit_differences"

    audit_id: Mapped[str] = mapped_column(
        ForeignKey("audits.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    kind: Mapped[str] = mapped_column(String(32))
    place: Mapped[str] = mapped_column(String(255))
    subject: Mapped[str] = mapped_column(String(255))
    expected: Mapped[str] = mapped_column(Text)
    found: Mapped[str] = mapped_column(Text)
    epoch: Mapped[int | None]
    confirmed: Mapped[bool] = mapped_column(default=False)
    outcome: Mapped[str | None] = mapped_column(String(16))
