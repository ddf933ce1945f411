"""The flow engine: runs control steps and compensations under the fence, and turns flows around.

A step is one transaction: the fence (flow, state, position, epoch), the effect, the line in the
journal. A message that the fence does not know ends its chain without a trace. A step that fails
turns its flow around here; whatever is lost on the way, the sweeper sends again from the journal.
"""

from datetime import datetime
from typing import Any

import structlog
from celery import Celery, Task
from kombu.exceptions import OperationalError as BrokerError
from sqlalchemy.orm import Session

from config.routing import CONTROL
from config.settings import Settings
from db import journal, messages, residues
from db.models import Flow, utcnow
from db.models.flow import CANCELLED, FAILED, PARKED, REFUSED, RUNNING, SUCCEEDED, UNDOING
from db.transactions import is_transient, retrying, writing
from tasks import children, dispatch
from tasks.decisions import Action, Decision, Failure, decide
from tasks.definition import FlowDefinition, NodeOrder, Run, Step
from tasks.lines import reply_line, write_failure
from tasks.message import Message, Reply
from tasks.notices import announce
from tasks.refusals import Refused, as_refusal

log = structlog.get_logger(__name__)


class Engine:
    """Runs the flows of `definitions` on one Celery application."""

    def __init__(self, app: Celery, settings: Settings, definitions: list[FlowDefinition]) -> None:
        self.app, self.settings = app, settings
        self.definitions = {definition.kind: definition for definition in definitions}

    # -- forward ---------------------------------------------------------------------------------

    def forward(self, task: Task, step: Step, message: Message) -> Any:
        """Run a control step; returns the message for the next link of the chain."""
        started = utcnow()
        try:
            done = retrying(lambda: self._forward(step, message, started))
        except Exception as error:  # whatever it is, the flow must turn around, not stand still
            if is_transient(error):
                raise  # the journal stands where it stood: the sweeper sends this step again
            refusal = as_refusal(error)
            failure = Failure.REFUSED if refusal else Failure.BUG
            self.fail(message["flow"], message["epoch"], step, failure, _describe(error, refusal))
            if refusal is None:
                raise
            raise refusal from error
        if done is None:
            return _stale(task, message)
        onward, others = done
        for outgoing in others:
            self.send(outgoing)
        definition = self.definitions[step.kind]
        if step.name == definition.admission:
            announce(self.app, message["flow"])
        if onward is None:
            return _end(task, "waiting", message)  # for the flows that it began
        after = dispatch.follow(definition, step)
        if after is not None and after.on_node and onward["node"] is None:
            task.request.chain.pop()  # the node has nothing to do: on to the link behind it
        return onward

    def _forward(
        self, step: Step, message: Message, started: datetime
    ) -> tuple[Message | None, list[dispatch.Outgoing]] | None:
        """Returns the onward message (None: the flow waits) and what else is to be sent."""
        definition = self.definitions[step.kind]
        before = definition.steps[step.index - 1] if step.index else None
        reply = message.get("reply")
        # A node's word stands for its step: the flow is still there until this transaction.
        proof = (
            reply if before and before.on_node and reply and reply["step"] == before.name else None
        )
        after = dispatch.follow(definition, step)
        changes: dict[str, Any] = {"position": step.index + 1}
        if after is None:
            changes |= {"state": SUCCEEDED, "finished_at": utcnow(), "error": None}
        elif after.queue:
            changes["queue"] = after.queue
        if step.name == definition.admission:
            changes["admitted"] = True
        with writing() as tx:
            flow = journal.enter(
                tx,
                message["flow"],
                message["epoch"],
                RUNNING,
                step.index - 1 if proof else step.index,
                lines=2 if proof else 1,
                **changes,
            )
            if flow is None:
                return None
            ctx, lines = dict(message["ctx"]), []
            if proof and before:
                lines.append(reply_line(flow, flow.seq - 1, before.name, proof))
                ctx |= proof.get("result") or {}
            run = Run(tx, flow, ctx, self.settings)
            result = step.do(run) if step.do else None
            done = journal.line(flow, flow.seq, step.name, "done", started=started, result=result)
            journal.append(tx, [*lines, done])
            onward: Message = {**message, "epoch": flow.epoch, "ctx": ctx | (result or {})}
            onward |= {"node": None, "op": None, "reply": None}
            if run.children:
                return None, children.begin(tx, self.definitions, run)
            if after is not None and after.order is not None:
                self._address(tx, flow, onward, after)
            if after is None and flow.parent_id is not None:
                journal.tell_parent(tx, flow)
                parent = self._parent_of(tx, flow)
                return onward, [parent] if parent else []
        return onward, []

    def _parent_of(self, tx: Session, flow: Flow) -> dispatch.Outgoing | None:
        """What sends on the flow that waited for `flow`, which has ended."""
        return children.parent_to_send(tx, self.settings, self.definitions, flow)

    def _address(self, tx: Session, flow: Flow, onward: Message, after: Step) -> None:
        """Give the node of the step `after` its orders, or stand the flow behind that step."""
        order = after.order and after.order(Run(tx, flow, onward["ctx"], self.settings))
        if order:
            dispatch.address(tx, flow, onward, order)
        else:
            flow.position = after.index + 1
            flow.queue = self.definitions[flow.kind].steps[flow.position].queue or CONTROL

    # -- backward --------------------------------------------------------------------------------

    def backward(self, task: Task, step: Step, message: Message) -> Any:
        """Run a control step's compensation; the last one ends the flow or sends it on again."""
        started = utcnow()
        try:
            done = retrying(lambda: self._backward(step, message, started))
        except Exception as error:  # journalled, and tried again by the sweeper
            if not is_transient(error):
                flow, epoch, why = message["flow"], message["epoch"], _describe(error, None)
                self.fail(flow, epoch, step, Failure.BUG, why, undoing=True)
            raise
        if done is None:
            return _stale(task, message)
        onward, resumed = done
        if resumed is not None:
            self.send(resumed)
        return onward

    def _backward(
        self, step: Step, message: Message, started: datetime
    ) -> tuple[Message, dispatch.Outgoing | None] | None:
        definition = self.definitions[step.kind]
        reply = message.get("reply")
        undone = next((s for s in definition.steps if reply and s.undo_name == reply["step"]), None)
        with writing() as tx:
            flow = journal.enter(
                tx,
                message["flow"],
                message["epoch"],
                UNDOING,
                undone.index if undone else step.index,
                lines=2 if undone else 1,
            )
            if flow is None:
                return None
            lines = []
            if undone and reply:
                name = str(undone.undo_name)
                lines.append(reply_line(flow, flow.seq - 1, name, reply, undo=True))
            run = Run(tx, flow, message["ctx"], self.settings)
            result = step.undo(run) if step.undo else None
            done = journal.line(
                flow,
                flow.seq,
                str(step.undo_name),
                "done",
                undo=True,
                started=started,
                result=result,
            )
            journal.append(tx, [*lines, done])
            onward: Message = {**message, "node": None, "op": None, "reply": None}
            return onward, self._undo_from(tx, definition, flow, step.index - 1, onward)

    def _undo_from(
        self,
        tx: Session,
        definition: FlowDefinition,
        flow: Flow,
        position: int,
        onward: Message | None = None,
    ) -> dispatch.Outgoing | None:
        """Stand `flow` at its next compensation from `position` down, or end the undoing.

        Returns what is to be sent when the chain at hand does not carry it (`onward` is that
        chain's message; a node's compensation gets its orders in it).
        """
        remaining = definition.undoable(position, flow.undo_floor)
        if not remaining:
            return self._undone(tx, definition, flow)
        flow.position = remaining[0].index
        if onward is None:
            outgoing = dispatch.current(tx, self.settings, definition, flow)
            journal.touch(tx, flow, outgoing.queue)
            return outgoing
        order = _order(Run(tx, flow, onward["ctx"], self.settings), remaining[0], undoing=True)
        if order is not None:
            dispatch.address(tx, flow, onward, order)
        else:  # of no node, or of one that is gone, which must not be waited for any more
            flow.queue = remaining[0].queue or CONTROL
        return None

    def _undone(
        self, tx: Session, definition: FlowDefinition, flow: Flow
    ) -> dispatch.Outgoing | None:
        if flow.undo_floor:
            flow.state, flow.position = RUNNING, flow.undo_floor
            flow.attempt += 1
            journal.raise_epoch(tx, flow)
            outgoing = dispatch.current(tx, self.settings, definition, flow)
            journal.touch(tx, flow, outgoing.queue)
            return outgoing
        if (flow.error or {}).get("type") == "Cancelled":
            journal.end(tx, flow, CANCELLED)
        elif flow.admitted:
            journal.end(tx, flow, FAILED)
            messages.tell(tx, flow, self.settings.sweeper.message_days)
        else:
            journal.end(tx, flow, REFUSED)
        return self._parent_of(tx, flow)

    # -- turning around --------------------------------------------------------------------------

    def fail(
        self,
        flow_id: str,
        epoch: int,
        step: Step,
        failure: Failure,
        error: dict[str, Any],
        *,
        undoing: bool = False,
        reply: Reply | None = None,
    ) -> bool:
        """A step (while `undoing`: its compensation) failed: decide, record, send what follows.

        False when the flow has moved on since, and nothing was done.
        """

        def turn() -> tuple[bool, dispatch.Outgoing | None, bool]:
            with writing() as tx:
                flow = journal.lock(tx, flow_id, epoch)
                if flow is None or (flow.state == UNDOING) != undoing:
                    return False, None, False
                if not self._stands_at(flow, step, undoing):
                    return False, None, False
                return True, self._turn(tx, flow, step, failure, error, reply), flow.admitted

        turned, outgoing, admitted = retrying(turn)
        if turned and not admitted:
            announce(self.app, flow_id)
        if outgoing is not None:
            self.send(outgoing)
        return turned

    def _stands_at(self, flow: Flow, step: Step, undoing: bool) -> bool:
        """Whether the flow is where `step` runs; after a node's step it still stands on that."""
        if flow.position == step.index:
            return True
        here = self.definitions[flow.kind].steps[flow.position]
        return (
            here.on_node
            and not step.on_node
            and (here.index > step.index if undoing else here.index == step.index - 1)
        )

    def _turn(
        self,
        tx: Session,
        flow: Flow,
        step: Step,
        failure: Failure,
        error: dict[str, Any],
        reply: Reply | None,
    ) -> dispatch.Outgoing | None:
        definition = self.definitions[flow.kind]
        undoing = flow.state == UNDOING
        decision = decide(
            definition,
            step.index,
            failure,
            undoing=undoing,
            attempt=flow.attempt,
            max_attempts=self.settings.scheduler.max_attempts,
        )
        if decision.action is Action.AGAIN and flow.resends:
            return None  # one line in the journal tells of it; the sweeper keeps trying
        run = Run(tx, flow, journal.results(tx, flow), self.settings)
        name = str(step.undo_name) if undoing else step.name
        error = {"step": name, "attempt": flow.attempt, **error}
        order = _order(run, step, undoing)
        host = order.host if order else None
        write_failure(tx, flow, name, failure, error, host, reply, undoing)
        log.warning("step failed", flow=flow.id, step=name, failure=failure.value, error=error)
        if decision.action is Action.AGAIN:
            return None
        if not undoing:
            flow.error = error
        journal.raise_epoch(tx, flow)
        if decision.residue:
            _leave_residue(run, step, error, decision)
        if decision.action is Action.PARK:
            if definition.parking:
                definition.parking.park(run)
            journal.end(tx, flow, PARKED)
            return self._parent_of(tx, flow)
        if decision.action is Action.PROCEED:
            return self._undo_from(tx, definition, flow, step.index - 1)
        if host and decision.action is Action.RETRY:
            flow.excluded_hosts = sorted({*flow.excluded_hosts, host})
        flow.state, flow.undo_floor = UNDOING, decision.floor
        start = step.index if decision.compensate_here else step.index - 1
        return self._undo_from(tx, definition, flow, start)

    def abort(self, tx: Session, flow: Flow, error: dict[str, Any]) -> dispatch.Outgoing | None:
        """Undo a locked flow that is running, from wherever it stands; for a cancellation.

        Send what this returns after the commit. A node's step that is under way is compensated.
        """
        definition = self.definitions[flow.kind]
        flow.error = error
        step = definition.steps[flow.position]
        journal.write(tx, flow, step.name, "cancelled", error=error)
        journal.raise_epoch(tx, flow)
        flow.state, flow.undo_floor = UNDOING, 0
        start = flow.position if step.on_node else flow.position - 1
        return self._undo_from(tx, definition, flow, start)

    def send(self, outgoing: dispatch.Outgoing) -> None:
        """Send after a commit; a broker that is out of reach is left to the sweeper."""
        try:
            dispatch.send(self.app, outgoing)
        except BrokerError as error:
            log.warning("broker out of reach", flow=outgoing.message["flow"], error=str(error))


def _stale(task: Task, message: Message) -> dict[str, Any]:
    return _end(task, "stale", message)


def _end(task: Task, how: str, message: Message) -> dict[str, Any]:
    task.request.chain = None
    return {"ended": how, "flow": message["flow"], "epoch": message["epoch"]}


def _describe(error: BaseException, refusal: Refused | None) -> dict[str, Any]:
    if refusal is not None:
        return {"type": "Refused", **refusal.as_json()}
    return {"type": type(error).__name__, "status": 500, "message": str(error)[:2000]}


def _order(run: Run, step: Step, undoing: bool) -> NodeOrder | None:
    order = step.undo_order if undoing else step.order
    return order(run) if order else None


def _leave_residue(run: Run, step: Step, error: dict[str, Any], decision: Decision) -> None:
    """What removes the leftover later: the step's compensation, or else the step itself."""
    order = _order(run, step, undoing=step.undo_order is not None)
    if order is not None:
        resume = decision.action is Action.PARK
        reason = str(error.get("message", error.get("type")))
        residues.leave(run.tx, run.flow, order.host, order.op, reason, resume=resume)
