"""The one path of every operation on a node: ledger, lock, driver, ledger, answer.

    message ── not understood ──────────────────────────────▶ parked
       │
    ordered for a ledger that is lost ──────────────────────▶ ended, no effect
       │
    ledger.begin ── stale, busy ────────────────────────────▶ ended, no effect
       │       └─── duplicate ──────────▶ the recorded answer
       │       └─── buried ─────────────▶ failed: clean
       go
       │
    the locks ── overtaken meanwhile ───────────────────────▶ ended, no effect
       │    │  └─ the object's not free in time ──▶ failed: unknown
       │    └──── its source's not free in time ──▶ failed: clean
    driver ── error ────────────────────▶ failed: what the driver says was left
       │
    ledger.finish ─────────────────────▶ done, and the chain goes on

A failure is sent to the control plane and raised too, so that it is seen in Flower. Nothing here
retries: the control plane does, under a higher epoch.
"""

from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog
from structlog.contextvars import bound_contextvars

from config.routing import CONTROL
from drivers.base import Driver
from drivers.errors import BackendUnavailable, DriverError, DriverTimeout, ObjectBusy
from tasks.message import UnintelligibleError, understood
from tasks.node.ledger import LedgerError, Verdict, Work
from tasks.node.locks import LockTimeoutError
from tasks.node.message import Operation, operation
from tasks.node.node import Node
from tasks.node.verbs import VERBS, locks, perform

log = structlog.get_logger(__name__)


class StepFailedError(Exception):
    """The step failed on its node; the control plane has been told."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A message that had no effect, and needs no answer: `how` and why."""

    how: str
    reason: str


def operate(task: Any, node: Node, message: object, verb: str) -> dict[str, Any]:
    """Do what `message` asks for; the bound Celery `task` does `verb`.

    Returns the message with the reply, for the next step of its chain, or says that it ended.
    Raises StepFailedError once the failure has been sent.
    """
    try:
        body = understood(message, flow=str, epoch=int, node=str, ledger=str, op=dict)
        op = operation(body["op"], verb)
        if body["node"] != node.host:
            raise UnintelligibleError(f"meant for node {body['node']}, not {node.host}")
    except UnintelligibleError as error:
        node.park(task, message, str(error))
        return _end(task, Ended("parked", str(error)))
    work = Work(
        object=op.object,
        epoch=body["epoch"],
        flow=body["flow"],
        task=task.name,
        op=body["op"],
        destroys=VERBS[verb].destroys,
    )
    with bound_contextvars(
        node=node.host,
        request_id=body.get("request_id"),
        flow=work.flow,
        step=task.name,
        volume=op.volume_id,
    ):
        answer = carry_out(node, body["ledger"], work, op)
        if isinstance(answer, Ended):
            return _end(task, answer)
        return hand_on(node, body, answer)


def hand_on(node: Node, body: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    """The message with the reply, for the next step. Raises StepFailedError as `operate` does."""
    answered = {**body, "reply": answer}
    if answer["outcome"] == "done":
        return answered
    node.send("flow.node_failed", answered, CONTROL)
    log.warning("step failed", outcome=answer["outcome"], **answer["error"])
    raise StepFailedError("{outcome}: {error[type]}: {error[message]}".format_map(answer))


def carry_out(node: Node, ledger: str, work: Work, op: Operation) -> dict[str, Any] | Ended:
    """Take `op` through ledger, lock and driver. Returns the reply, or why there is none.

    `ledger` is the one that it was ordered for. The reply's `outcome` is done, or what a failure
    left: clean, dirty, unknown. That the object was destroyed is answered rather than ignored, or
    the flow would ask again for ever.
    """
    started = now()
    if ledger != node.ledger.uuid:
        return Ended("stale", f"ordered for the ledger {ledger}, which is lost")
    try:
        begin = node.ledger.begin(work)
    except LedgerError as error:
        # No effect yet, but no fence either: the same message, come again, might still have one.
        return reply(node, work.task, started, "unknown", error=error)
    match begin.verdict:
        case Verdict.GO:
            return _begun(node, work, op, started, unsettled=begin.unsettled)
        case Verdict.DUPLICATE:
            return begin.reply or {}
        case Verdict.BURIED:
            return reply(node, work.task, started, "clean", error=ObjectBuriedError(begin.reason))
        case _:
            return Ended(begin.verdict, begin.reason)


def _begun(
    node: Node, work: Work, op: Operation, started: str, *, unsettled: bool
) -> dict[str, Any] | Ended:
    try:
        answer = _locked(node, work, op, started)
        if isinstance(answer, Ended):
            node.ledger.abandon(work)
            return answer
        if answer["outcome"] == "clean" and unsettled:
            # Clean is said of this call alone: an earlier one, cut short, may have left something.
            answer = {**answer, "outcome": "dirty"}
        node.ledger.finish(work, answer["outcome"], answer)
    except LedgerError as error:  # after an effect that nothing durable tells of
        return reply(node, work.task, started, "dirty", error=error)
    return answer


class ObjectBuriedError(Exception):
    """The object was destroyed; its name is never used again."""


def _locked(node: Node, work: Work, op: Operation, started: str) -> dict[str, Any] | Ended:
    try:
        with ExitStack() as held:
            for name, shared in locks(op):
                held.enter_context(node.ledger.locks.object(name, node.lock_wait, shared=shared))
            # While this waited, a destroy or a newer attempt may have come.
            if node.ledger.overtaken(work):
                return Ended("stale", f"{work.object} was taken over by a newer epoch")
            with node.progress.of(work):
                result = perform(usable(node, op.backend), op)
            return reply(node, work.task, started, "done", result=result)
    except LockTimeoutError as late:
        reason = f"another operation on {late} has not ended in {node.lock_wait:g} s"
        # On the object itself that may be an earlier attempt at this very step.
        error = DriverTimeout(reason) if late.name == work.object else ObjectBusy(reason)
        return reply(node, work.task, started, error.left, error=error)
    except DriverError as error:
        return reply(node, work.task, started, error.left, error=error)
    except LedgerError:
        raise
    except Exception as error:  # a defect in a driver: what it left is for the undo to settle
        log.exception("driver broke")
        return reply(node, work.task, started, "dirty", error=error)


def usable(node: Node, name: str) -> Driver:
    """The driver of a back end that can be asked. Raises BackendUnavailable."""
    backend = node.backends.get(name)
    if backend is None:
        raise BackendUnavailable(f"{node.host} has no back end {name}")
    if backend.hung:  # one more thread lost to it would help nobody
        raise BackendUnavailable(str(backend.state().reason))
    return backend.driver


def reply(
    node: Node,
    task: str,
    started: str,
    outcome: str,
    *,
    result: dict[str, Any] | None = None,
    error: Exception | None = None,
) -> dict[str, Any]:
    """What the node answers to `task`, begun at `started`; see tasks.message.Reply."""
    answer: dict[str, Any] = {
        "step": task.rpartition(".")[2],
        "outcome": outcome,
        "node": node.host,
        "incarnation": node.ledger.number,
        "started": started,
        "finished": now(),
        "result": result or {},
    }
    if error is not None:
        answer["error"] = {"type": type(error).__name__, "message": str(error)}
    return answer


def _end(task: Any, ended: Ended) -> dict[str, Any]:
    task.request.chain = None
    log.info("message had no effect", ended=ended.how, reason=ended.reason)
    return {"ended": ended.how, "reason": ended.reason}


def now() -> str:
    """ISO 8601, UTC."""
    return datetime.now(UTC).isoformat()
