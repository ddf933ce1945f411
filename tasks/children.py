"""Flows that a flow begins, and waits for: the deletes of a cascade, the members of a group.

The parent's step inserts their rows in its own transaction and ends its chain. Each of them counts
itself off in the transaction of its end, and the one that finds nothing left sends the parent on. A
parent has no message under way while it waits, so the fence asks that it waits for nothing.
"""

from collections.abc import Mapping

from sqlalchemy import select
from sqlalchemy.orm import Session

from config.settings import Settings
from db import journal
from db.models import Flow
from db.models.flow import RUNNING
from tasks import dispatch
from tasks.definition import Child, FlowDefinition, Run

Definitions = Mapping[str, FlowDefinition]


def begin(tx: Session, definitions: Definitions, run: Run) -> list[dispatch.Outgoing]:
    """Insert the flows that a step of `run` has asked for; returns what to send after the commit.

    Sending may fail: the sweeper sends them like any flow.
    """
    flows = [_insert(tx, definitions[child.kind], run.flow, child) for child in run.children]
    run.flow.children = len(flows)
    return [dispatch.first(definitions[flow.kind], flow) for flow in flows]


def _insert(tx: Session, definition: FlowDefinition, parent: Flow, child: Child) -> Flow:
    flow = journal.new_flow(
        child.kind,
        str(definition.steps[0].queue),
        child.resource_id,
        child.payload,
        project_id=parent.project_id,
        user_id=parent.user_id,
        request_id=parent.request_id,
        parent_id=parent.id,
    )
    journal.begin(tx, flow)
    return flow


def outcomes(run: Run) -> dict[str, str]:
    """The states in which the flows begun by this one have ended, by their resource's id."""
    rows = run.tx.execute(
        select(Flow.resource_id, Flow.state).where(Flow.parent_id == run.flow.id)
    ).all()
    return {row.resource_id: row.state for row in rows}


def parent_to_send(
    tx: Session, settings: Settings, definitions: Definitions, flow: Flow
) -> dispatch.Outgoing | None:
    """What sends on the parent of a flow that has just ended, if it waits for no other."""
    if flow.parent_id is None:
        return None
    parent = journal.lock(tx, flow.parent_id)
    if parent is None or parent.children or parent.state != RUNNING:
        return None
    outgoing = dispatch.current(tx, settings, definitions[parent.kind], parent)
    journal.touch(tx, parent, outgoing.queue)
    return outgoing
