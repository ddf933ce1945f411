"""Nodes, their backends and pools, and what flows claim there."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base, Json, Uuid, new_id, utcnow

ACTIVE = "active"
"""Takes new volumes."""
DRAINING = "draining"
"""Serves what it has; takes nothing new."""
FORGOTTEN = "forgotten"
"""Declared gone by an operator; its residues are written off."""


class Node(Base):
    """A machine that runs a node worker, as its last report described it."""

    __tablename__ = "nodes"

    host: Mapped[str] = mapped_column(String(255), primary_key=True)
    state: Mapped[str] = mapped_column(String(16), default=ACTIVE)
    availability_zone: Mapped[str] = mapped_column(String(255))
    ledger: Mapped[str] = mapped_column(Uuid)
    incarnation: Mapped[int]
    sequence: Mapped[int]
    report_tick: Mapped[int] = mapped_column(default=0)
    running: Mapped[list[Any]] = mapped_column(Json, default=list)
    reported_at: Mapped[datetime] = mapped_column(default=utcnow)
    created_at: Mapped[datetime] = mapped_column(default=utcnow)


class Backend(Base):
    """One configured driver instance on one node, `host@backend`."""

    __tablename__ = "backends"

    name: Mapped[str] = mapped_column(String(255), primary_key=True)
    host: Mapped[str] = mapped_column(ForeignKey("nodes.host", ondelete="CASCADE"))
    driver: Mapped[str] = mapped_column(String(64))
    up: Mapped[bool] = mapped_column(default=True)
    reason: Mapped[str | None] = mapped_column(Text)
    enabled: Mapped[bool] = mapped_column(default=True)
    disabled_reason: Mapped[str | None] = mapped_column(Text)
    frozen: Mapped[bool] = mapped_column(default=False)
    updated_at: Mapped[datetime] = mapped_column(default=utcnow)

    __table_args__ = (Index("ix_backends_host", "host"),)


class Pool(Base):
    """A pool, `host@backend#pool`, with the one counter that admits claims.

    `taken_gib` is the sum of the claims, allocations and residues in it; a claim is granted by one
    UPDATE on the condition that it stays within `limit_gib`.
    """

    __tablename__ = "pools"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(255), unique=True)
    host: Mapped[str] = mapped_column(String(255))
    backend: Mapped[str] = mapped_column(ForeignKey("backends.name", ondelete="CASCADE"))
    limit_gib: Mapped[float]
    taken_gib: Mapped[int] = mapped_column(default=0)
    volumes: Mapped[int] = mapped_column(default=0)
    total_gib: Mapped[float]
    free_gib: Mapped[float]
    foreign_gib: Mapped[float] = mapped_column(default=0.0)
    reserved_percentage: Mapped[int] = mapped_column(default=0)
    max_over_subscription_ratio: Mapped[float] = mapped_column(default=1.0)
    thin: Mapped[bool] = mapped_column(default=False)
    thick: Mapped[bool] = mapped_column(default=True)
    capabilities: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)
    present: Mapped[bool] = mapped_column(default=True)
    updated_at: Mapped[datetime] = mapped_column(default=utcnow)

    __table_args__ = (Index("ix_pools_host", "host"), Index("ix_pools_backend", "backend"))


class Claim(Base):
    """Capacity taken in a pool for a flow before its driver runs."""

    __tablename__ = "claims"

    flow_id: Mapped[str] = mapped_column(
        ForeignKey("flows.id", ondelete="CASCADE"), primary_key=True
    )
    pool_id: Mapped[int] = mapped_column(ForeignKey("pools.id"))
    gib: Mapped[int]
    volumes: Mapped[int] = mapped_column(default=0)

    __table_args__ = (Index("ix_claims_pool", "pool_id"),)


class Residue(Base):
    """Something of a flow that may exist on a node; holds its capacity until the node answers."""

    __tablename__ = "residues"

    id: Mapped[str] = mapped_column(Uuid, primary_key=True, default=new_id)
    flow_id: Mapped[str] = mapped_column(Uuid)
    request_id: Mapped[str] = mapped_column(String(64))
    volume_id: Mapped[str] = mapped_column(Uuid)
    host: Mapped[str] = mapped_column(String(255))
    pool_id: Mapped[int | None] = mapped_column(ForeignKey("pools.id"))
    gib: Mapped[int] = mapped_column(default=0)
    volumes: Mapped[int] = mapped_column(default=0)
    op: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)
    resume: Mapped[bool] = mapped_column(default=False)
    epoch: Mapped[int]
    reason: Mapped[str] = mapped_column(Text)
    tick: Mapped[int] = mapped_column(default=0)
    tries: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(default=utcnow)

    __table_args__ = (
        Index("ix_residues_host", "host"),
        Index("ix_residues_volume", "volume_id"),
        Index("ix_residues_flow", "flow_id"),
    )
