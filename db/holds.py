"""Holds: what a running flow refers to must not go away meanwhile."""

from sqlalchemy import bindparam, delete, select
from sqlalchemy.orm import Session

from db.models import Base, Flow

_HOLDS, _FLOWS = (Base.metadata.tables[name] for name in ("holds", "flows"))
_RELEASE = delete(_HOLDS).where(_HOLDS.c.flow_id == bindparam("of_flow"))

_OTHERS = (
    select(_FLOWS.c.kind)
    .join(_HOLDS, _HOLDS.c.flow_id == _FLOWS.c.id)
    .where(
        _HOLDS.c.resource_id == bindparam("held"),
        _FLOWS.c.id.not_in(bindparam("besides", expanding=True)),
    )
    .limit(1)
)


def take(tx: Session, flow_id: str, resource_id: str) -> None:
    """Hold a resource for a flow; the caller has locked its row, at least against changes."""
    tx.execute(_HOLDS.insert(), {"flow_id": flow_id, "resource_id": resource_id})


def release(tx: Session, flow_id: str) -> None:
    """End all holds of a flow."""
    tx.execute(_RELEASE, {"of_flow": flow_id})


def of_any(tx: Session, resource_id: str) -> str | None:
    """The kind of a flow that holds a resource, whose row the caller has locked."""
    return tx.scalar(_OTHERS, {"held": resource_id, "besides": []})


def of_others(tx: Session, resource_id: str, flow: Flow) -> str | None:
    """The kind of a flow that holds a resource, other than `flow` and the one that began it.

    Whoever is about to take the resource away has locked its row, so nobody can hold it after that.
    """
    besides = [flow.id, flow.parent_id or flow.id]
    return tx.scalar(_OTHERS, {"held": resource_id, "besides": besides})
