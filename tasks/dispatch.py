"""What is sent for a flow as it stands, and the sending: always after the commit it rests on."""

from dataclasses import dataclass

from celery import Celery, chain
from sqlalchemy.orm import Session

from config.routing import CONTROL, node_queue
from config.settings import Settings
from db import journal
from db.models import Flow
from db.models.flow import UNDOING
from tasks.definition import FlowDefinition, NodeOrder, Run, Step
from tasks.message import VERSION, Message


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A chain of (task, queue) and its first task's message; queue None: the message's node."""

    links: tuple[tuple[str, str | None], ...]
    message: Message

    @property
    def queue(self) -> str:
        """Where the first task goes."""
        return self.links[0][1] or node_queue(str(self.message["node"]))


def first(definition: FlowDefinition, flow: Flow) -> Outgoing:
    """The whole chain, for a flow that was just made."""
    return Outgoing(_forward_links(definition, 0), _message(flow))


def current(tx: Session, settings: Settings, definition: FlowDefinition, flow: Flow) -> Outgoing:
    """The rest of the chain from where the journal says that the flow stands, at its epoch."""
    run = Run(tx, flow, journal.results(tx, flow), settings)
    message = _message(flow)
    message["ctx"] = dict(run.ctx)
    if flow.state != UNDOING:
        _pass_over(definition, flow, run)
    step = definition.steps[flow.position]
    if flow.state == UNDOING:
        steps = definition.undoable(flow.position, flow.undo_floor)
        links = tuple((s.undo_task, None if s.undo_order else s.queue or CONTROL) for s in steps)
        order = step.undo_order
    else:
        links = _forward_links(definition, flow.position)
        order = step.order
    if order is not None and (placed := order(run)) is not None:
        address(tx, flow, message, placed)
    return Outgoing(links, message)


def _pass_over(definition: FlowDefinition, flow: Flow, run: Run) -> None:
    """Stand a flow that has waited for others behind a node's step that it does not need."""
    step = definition.steps[flow.position]
    if step.order is not None and step.order(run) is None:
        flow.position += 1


def address(tx: Session, flow: Flow, message: Message, order: NodeOrder) -> None:
    """Direct a flow's message to the node of `order`, as long as that has the ledger known now.

    In the transaction that makes the order: whatever was ordered before the node's ledger was lost
    is for the lost one, however late it comes.
    """
    message["node"], message["op"] = order.host, order.op
    message["ledger"] = journal.queue_at_node(tx, flow, order.host) or ""


def send(app: Celery, outgoing: Outgoing) -> None:
    """Send a chain. Raises kombu's OperationalError when the broker is out of reach."""
    signatures = [
        app.signature(task, options={"queue": queue} if queue else {})
        for task, queue in outgoing.links
    ]
    signatures[0].args = (outgoing.message,)
    chain(*signatures, app=app).apply_async()


def _forward_links(definition: FlowDefinition, position: int) -> tuple[tuple[str, str | None], ...]:
    return tuple((step.task, step.queue) for step in definition.steps[position:])


def _message(flow: Flow) -> Message:
    return {
        # In the order in which people need them: what Flower shows is cut short.
        "kind": flow.kind,
        "resource": flow.resource_id,
        "flow": flow.id,
        "epoch": flow.epoch,
        "request_id": flow.request_id,
        "project": flow.project_id,
        "v": VERSION,
        "ctx": {},
        "node": None,
        "ledger": None,
        "op": None,
        "reply": None,
    }


def follow(definition: FlowDefinition, step: Step) -> Step | None:
    """The step after `step`."""
    after = step.index + 1
    return definition.steps[after] if after < len(definition.steps) else None
