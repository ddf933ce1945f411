"""The journal: a flow's row and lines, changed only under the fence (flow, state, position, epoch).

Nothing here commits. A line is written in the transaction of the effect that it tells of.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import set_committed_value

from config.routing import node_queue
from db.models import OWNABLE, Base, Clock, Flow, FlowStep, Node, new_id, utcnow
from db.models.flow import RUNNING, UNFINISHED

# Tables, not classes, on the path of every step: the ORM's own inserts and updates cost twice.
_FLOWS, _LINES = Base.metadata.tables["flows"], Base.metadata.tables["flow_steps"]
_LINE = _LINES.insert()
_NOW = select(Clock.tick).where(Clock.id == 1).scalar_subquery()

# A flow begins at the present tick: at tick 0 it would look lost.
_FLOW = _FLOWS.insert().values(tick=func.coalesce(_NOW, 0))
_TO_NODE = (
    _FLOWS.update()
    .where(_FLOWS.c.id == bindparam("flow_id"))
    .values(queue=bindparam("to", type_=_FLOWS.c.queue.type))
    .returning(select(Node.ledger).where(Node.host == bindparam("of_host")).scalar_subquery())
)


def new_flow(
    kind: str,
    queue: str,
    resource_id: str,
    payload: Mapping[str, Any],
    *,
    project_id: str,
    user_id: str,
    request_id: str,
    flow_id: str | None = None,
    parent_id: str | None = None,
) -> Flow:
    """A flow that stands at its first step, whose worker takes from `queue`; for `begin`."""
    return Flow(
        id=flow_id or new_id(),
        kind=kind,
        project_id=project_id,
        user_id=user_id,
        request_id=request_id,
        resource_id=resource_id,
        payload=dict(payload),
        state=RUNNING,
        position=0,
        undo_floor=0,
        epoch=1,
        seq=0,
        attempt=1,
        admitted=False,
        excluded_hosts=[],
        parent_id=parent_id,
        told_parent=False,
        children=0,
        queue=queue,
        resends=0,
        created_at=utcnow(),
    )


def begin(tx: Session, flow: Flow) -> None:
    """Insert the row of a new flow, which is complete but for its tick."""
    columns = (column.key for column in _FLOWS.c if column.key != "tick")
    tx.execute(_FLOW, {column: getattr(flow, column) for column in columns})


def enter(
    tx: Session,
    flow_id: str,
    epoch: int,
    stands: str,
    at: int,
    *,
    lines: int = 1,
    **changes: Any,
) -> Flow | None:
    """Move a flow on, if it still stands where the message believes; None when it does not.

    One conditional UPDATE: of two deliveries of a message one finds no row and has no effect. Makes
    room for `lines` journal lines, the last of which gets number `flow.seq`.
    """
    values = {"flow_id": flow_id, "at_epoch": epoch, "stands": stands, "at": at, "lines": lines}
    return tx.scalars(
        _move(tuple(changes)),
        values | {f"new_{name}": value for name, value in changes.items()},
        execution_options={"populate_existing": True},
    ).first()


@cache
def _move(columns: tuple[str, ...]) -> Any:
    """The statement that moves a flow on and sets `columns`; building one is the dear part."""
    return select(Flow).from_statement(
        _FLOWS.update()
        .where(
            _FLOWS.c.id == bindparam("flow_id"),
            _FLOWS.c.epoch == bindparam("at_epoch"),
            _FLOWS.c.state == bindparam("stands"),
            _FLOWS.c.position == bindparam("at"),
            _FLOWS.c.children == 0,
        )
        .values(
            seq=_FLOWS.c.seq + bindparam("lines"),
            tick=_NOW,
            resends=0,
            **{name: bindparam(f"new_{name}", type_=_FLOWS.c[name].type) for name in columns},
        )
        .returning(*_FLOWS.c)
    )


def lock(tx: Session, flow_id: str, epoch: int | None = None) -> Flow | None:
    """The flow, locked, if it is unfinished and (when given) still at `epoch`."""
    query = select(Flow).where(Flow.id == flow_id, Flow.state.in_(UNFINISHED))
    if epoch is not None:
        query = query.where(Flow.epoch == epoch)
    return tx.scalars(
        query.with_for_update().execution_options(populate_existing=True)
    ).one_or_none()


def line(
    flow: Flow,
    seq: int,
    step: str,
    outcome: str,
    *,
    undo: bool = False,
    node: str | None = None,
    started: datetime | None = None,
    finished: datetime | None = None,
    result: Mapping[str, Any] | None = None,
    error: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """One line, number `seq`, of a flow as it stands; for `append`."""
    now = utcnow()
    return {
        "flow_id": flow.id,
        "seq": seq,
        "epoch": flow.epoch,
        "attempt": flow.attempt,
        "step": step,
        "undo": undo,
        "outcome": outcome,
        "node": node,
        "started_at": started or now,
        "finished_at": finished or now,
        "result": dict(result or {}),
        "error": dict(error) if error else None,
    }


def append(tx: Session, lines: Sequence[dict[str, Any]]) -> None:
    """Write lines for which `enter` has made room, in one statement."""
    tx.execute(_LINE, lines)


def write(tx: Session, flow: Flow, step: str, outcome: str, **details: Any) -> None:
    """Write the next line; the flow's counter moves with it. `details` are those of `line`."""
    flow.seq += 1
    append(tx, [line(flow, flow.seq, step, outcome, **details)])


def results(tx: Session, flow: Flow) -> dict[str, Any]:
    """The merged results of the steps that are done, as the journal has them."""
    merged: dict[str, Any] = {}
    for result in tx.scalars(
        select(FlowStep.result)
        .where(
            FlowStep.flow_id == flow.id,
            FlowStep.undo.is_(False),
            FlowStep.outcome == "done",
        )
        .order_by(FlowStep.seq)
    ):
        merged |= result
    return merged


def raise_epoch(tx: Session, flow: Flow) -> None:
    """Make every message sent so far an old one, here and on the nodes.

    The resource that the flow owns carries the same number, which the next flow continues from; one
    that only asks a node owns none.
    """
    flow.epoch += 1
    model = OWNABLE.get(flow.noun)
    if model is None:
        return
    tx.execute(
        update(model)
        .where(model.id == flow.resource_id, model.flow_id == flow.id)
        .values(epoch=flow.epoch)
        .execution_options(synchronize_session="fetch")
    )


def queue_at_node(tx: Session, flow: Flow, host: str) -> str | None:
    """Note that the next message of `flow`, which is locked, goes to a node; returns its ledger.

    None for a node that is not known.
    """
    queue = node_queue(host)
    set_committed_value(flow, "queue", queue)
    ledger: str | None = tx.scalar(_TO_NODE, {"flow_id": flow.id, "to": queue, "of_host": host})
    return ledger


def touch(tx: Session, flow: Flow, queue: str) -> None:
    """Note that a message of this flow goes to `queue` at the present tick."""
    flow.queue = queue
    flow.tick = tx.scalar(select(_NOW)) or 0


def end(tx: Session, flow: Flow, state: str) -> None:
    """Finish a flow, or park it: the flow that waits for it hears of both."""
    flow.state, flow.finished_at = state, utcnow()
    tell_parent(tx, flow)


def tell_parent(tx: Session, flow: Flow) -> None:
    """Count `flow`, which has ended, off what its parent waits for; once, however often it ends."""
    if flow.parent_id is None or flow.told_parent:
        return
    flow.told_parent = True
    tx.execute(
        update(Flow)
        .where(Flow.id == flow.parent_id)
        .values(children=Flow.children - 1, tick=_NOW, resends=0)
        .execution_options(synchronize_session="fetch")
    )
