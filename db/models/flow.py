"""Flows and their journal."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base, Json, NullableJson, Uuid, new_id, utcnow

RUNNING = "running"
"""Going forward, step by step."""
UNDOING = "undoing"
"""Running compensations in reverse order."""
PARKED = "parked"
"""Past its pivot with its node out of reach: goes on by itself when the node answers."""
SUCCEEDED = "succeeded"
"""Ended; every step took effect."""
FAILED = "failed"
"""Ended; an admitted request was undone, and `error` says why."""
REFUSED = "refused"
"""Ended before admission with an answer of the 4xx kind; nothing is left."""
CANCELLED = "cancelled"
"""Ended and undone: nobody admitted it in time, or an operator took it back."""
SUPERSEDED = "superseded"
"""Ended by an administrator's override of the resource."""

UNFINISHED = (RUNNING, UNDOING)


class Flow(Base):
    """One run of a pipeline for one request.

    `position` is the index of the step that is to take effect next (while undoing: of the step
    whose compensation is). `epoch` is raised by compare-and-set before anything is sent again.
    `tick` is the sweeper's count at the last progress, `queue` where the last message went.
    `children` counts the flows begun by this one (their `parent_id`) that have not ended; until it
    is 0 this one waits.
    """

    __tablename__ = "flows"

    id: Mapped[str] = mapped_column(Uuid, primary_key=True, default=new_id)
    kind: Mapped[str] = mapped_column(String(64))
    project_id: Mapped[str] = mapped_column(String(255))
    user_id: Mapped[str] = mapped_column(String(255))
    request_id: Mapped[str] = mapped_column(String(64))
    resource_id: Mapped[str] = mapped_column(Uuid)
    payload: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)

    state: Mapped[str] = mapped_column(String(16), default=RUNNING)
    position: Mapped[int] = mapped_column(default=0)
    undo_floor: Mapped[int] = mapped_column(default=0)
    epoch: Mapped[int] = mapped_column(default=1)
    seq: Mapped[int] = mapped_column(default=0)
    attempt: Mapped[int] = mapped_column(default=1)
    admitted: Mapped[bool] = mapped_column(default=False)
    excluded_hosts: Mapped[list[str]] = mapped_column(Json, default=list)
    error: Mapped[dict[str, Any] | None] = mapped_column(NullableJson)

    parent_id: Mapped[str | None] = mapped_column(Uuid)
    told_parent: Mapped[bool] = mapped_column(default=False)
    children: Mapped[int] = mapped_column(default=0)

    queue: Mapped[str] = mapped_column(String(255))
    tick: Mapped[int] = mapped_column(default=0)
    resends: Mapped[int] = mapped_column(default=0)

    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    finished_at: Mapped[datetime | None]

    @property
    def noun(self) -> str:
        """The sort of thing that it owns: the first part of its kind, a key of `OWNABLE`."""
        return self.kind.partition(".")[0]

    __table_args__ = (
        Index("ix_flows_state_tick", "state", "tick"),
        Index("ix_flows_project_created", "project_id", "created_at", "id"),
        Index("ix_flows_created", "created_at", "id"),
        Index("ix_flows_resource", "resource_id"),
        Index("ix_flows_request", "request_id"),
        Index("ix_flows_parent", "parent_id"),
        Index("ix_flows_finished", "finished_at"),
    )


class FlowStep(Base):
    """One line of a flow's journal, written in the transaction of the effect that it tells of."""

    __tablename__ = "flow_steps"

    flow_id: Mapped[str] = mapped_column(
        ForeignKey("flows.id", ondelete="CASCADE"), primary_key=True
    )
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    epoch: Mapped[int]
    attempt: Mapped[int]
    step: Mapped[str] = mapped_column(String(64))
    undo: Mapped[bool] = mapped_column(default=False)
    outcome: Mapped[str] = mapped_column(String(16))
    node: Mapped[str | None] = mapped_column(String(255))
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime]
    result: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)
    error: Mapped[dict[str, Any] | None] = mapped_column(NullableJson)


class Hold(Base):
    """A resource that a running flow refers to and that must not go away meanwhile."""

    __tablename__ = "holds"

    flow_id: Mapped[str] = mapped_column(
        ForeignKey("flows.id", ondelete="CASCADE"), primary_key=True
    )
    resource_id: Mapped[str] = mapped_column(Uuid, primary_key=True)

    __table_args__ = (Index("ix_holds_resource", "resource_id"),)


class IdempotencyKey(Base):
    """A POST that carried this key: what was asked, the flow that it began, the answer it got.

    `status` is null while it is in flight, and stays so if the API dies before it answers: then the
    flow says what became of the request.
    """

    __tablename__ = "idempotency_keys"

    project_id: Mapped[str] = mapped_column(String(255), primary_key=True)
    user_id: Mapped[str] = mapped_column(String(255), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))
    owner: Mapped[str] = mapped_column(String(64))
    flow_id: Mapped[str | None] = mapped_column(Uuid)
    status: Mapped[int | None]
    body: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    expires_at: Mapped[datetime]

    __table_args__ = (Index("ix_idempotency_expires", "expires_at"),)
