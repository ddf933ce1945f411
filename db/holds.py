"""Holds: what a running flow refers to must not go away meanwhile."""

from sqlalchemy import bindparam, delete
from sqlalchemy.orm import Session

from db.models import Base

_HOLDS = Base.metadata.tables["holds"]
_RELEASE = delete(_HOLDS).where(_HOLDS.c.flow_id == bindparam("of_flow"))


def take(tx: Session, flow_id: str, resource_id: str) -> None:
    """Hold a resource, whose row the caller has locked, for a flow."""
    tx.execute(_HOLDS.insert(), {"flow_id": flow_id, "resource_id": resource_id})


def release(tx: Session, flow_id: str) -> None:
    """End all holds of a flow."""
    tx.execute(_RELEASE, {"of_flow": flow_id})
