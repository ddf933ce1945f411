"""What an operator may do to a flow at any moment: have it sent again, or take it back."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.models import Flow, Residue
from db.models.flow import PARKED, RUNNING, UNFINISHED
from db.transactions import writing
from db.transitions import NotFound
from tasks.dispatch import Outgoing
from tasks.engine import Engine
from tasks.sweep import reopen, resend


class NotNow(Exception):
    """The flow's state forbids it."""


def retry(engine: Engine, flow_id: str) -> None:
    """Send an unfinished flow again from where its journal stands, or a parked one on.

    Raises NotFound, or NotNow for a flow that has ended. What was sent before has no effect then.
    """
    with writing() as tx:
        flow = _locked(tx, flow_id)
        if flow.state == PARKED:
            outgoing = _reopened(tx, engine, flow)
        elif flow.state in UNFINISHED:
            _refuse_while_it_waits(flow)
            outgoing = resend(tx, engine, flow)
        else:
            raise NotNow(f"Flow {flow_id} has ended: it is {flow.state}.")
    engine.send(outgoing)


def cancel(engine: Engine, flow_id: str, reason: str) -> None:
    """Undo a running flow. Raises NotFound, or NotNow once it is past its pivot or has ended."""
    with writing() as tx:
        flow = _locked(tx, flow_id)
        if flow.state != RUNNING:
            raise NotNow(f"Flow {flow_id} cannot be cancelled: it is {flow.state}.")
        _refuse_while_it_waits(flow)
        definition = engine.definitions[flow.kind]
        pivot = definition.index(definition.pivot)
        if pivot is not None and flow.position >= pivot:
            step = definition.steps[flow.position].name
            raise NotNow(
                f"Flow {flow_id} cannot be cancelled: it stands at '{step}', and from "
                f"'{definition.pivot}' on it only goes forward."
            )
        error = {"type": "Cancelled", "status": 409, "message": reason}
        outgoing = engine.abort(tx, flow, error)
    if outgoing is not None:
        engine.send(outgoing)


def _refuse_while_it_waits(flow: Flow) -> None:
    if flow.children:
        raise NotNow(
            f"Flow {flow.id} waits for {flow.children} flows that it began; retry or cancel those."
        )


def _locked(tx: Session, flow_id: str) -> Flow:
    flow = tx.get(Flow, flow_id, with_for_update=True)
    if flow is None:
        raise NotFound(f"Flow {flow_id} could not be found.")
    return flow


def _reopened(tx: Session, engine: Engine, flow: Flow) -> Outgoing:
    residue = tx.scalars(
        select(Residue)
        .where(Residue.flow_id == flow.id, Residue.resume.is_(True))
        .with_for_update()
    ).first()
    outgoing = reopen(tx, engine, residue) if residue else None
    if outgoing is None:
        raise NotNow(f"Flow {flow.id} cannot go on: something else has taken its volume over.")
    return outgoing
