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
    object's lock ── overtaken meanwhile ───────────────────▶ ended, no effect
       │        └─── not free in time ──▶ failed: unknown
    driver ── error ────────────────────▶ failed: what the driver says was left
       │
    ledger.finish ─────────────────────▶ done, and the chain goes on

A failure is sent to the control plane and raised too, so that it is seen in Flower. Nothing here
retries: the control plane does, under a higher epoch.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog
from structlog.contextvars import bound_contextvars

from config.routing import CONTROL
from drivers.base import VolumeRef
from drivers.errors import BackendUnavailable, DriverError, DriverTimeout
from tasks.message import UnintelligibleError, understood
from tasks.node.ledger import LedgerError, Verdict, Work
from tasks.node.locks import LockTimeoutError
from tasks.node.message import Operation, operation
from tasks.node.node import Node

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
        destroys=verb == "destroy",
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
    started = _now()
    if ledger != node.ledger.uuid:
        return Ended("stale", f"ordered for the ledger {ledger}, which is lost")
    try:
        begin = node.ledger.begin(work)
    except LedgerError as error:
        # No effect yet, but no fence either: the same message, come again, might still have one.
        return _reply(node, work, started, "unknown", error=error)
    match begin.verdict:
        case Verdict.GO:
            return _begun(node, work, op, started, unsettled=begin.unsettled)
        case Verdict.DUPLICATE:
            return begin.reply or {}
        case Verdict.BURIED:
            return _reply(node, work, started, "clean", error=ObjectBuriedError(begin.reason))
        case _:
            return Ended(begin.verdict, begin.reason)


def _begun(
    node: Node, work: Work, op: Operation, started: str, *, unsettled: bool
) -> dict[str, Any] | Ended:
    try:
        reply = _locked(node, work, op, started)
        if isinstance(reply, Ended):
            node.ledger.abandon(work)
            return reply
        if reply["outcome"] == "clean" and unsettled:
            # Clean is said of this call alone: an earlier one, cut short, may have left something.
            reply = {**reply, "outcome": "dirty"}
        node.ledger.finish(work, reply["outcome"], reply)
    except LedgerError as error:  # after an effect that nothing durable tells of
        return _reply(node, work, started, "dirty", error=error)
    return reply


class ObjectBuriedError(Exception):
    """The object was destroyed; its name is never used again."""


def _locked(node: Node, work: Work, op: Operation, started: str) -> dict[str, Any] | Ended:
    try:
        with node.ledger.locks.object(work.object, node.lock_wait):
            # While this waited, a destroy or a newer attempt may have come.
            if node.ledger.overtaken(work):
                return Ended("stale", f"{work.object} was taken over by a newer epoch")
            return _reply(node, work, started, "done", result=_act(node, op))
    except LockTimeoutError:
        reason = f"another operation on {work.object} has not ended in {node.lock_wait:g} s"
        return _reply(node, work, started, "unknown", error=DriverTimeout(reason))
    except DriverError as error:
        return _reply(node, work, started, error.left, error=error)
    except LedgerError:
        raise
    except Exception as error:  # a defect in a driver: what it left is for the undo to settle
        log.exception("driver broke")
        return _reply(node, work, started, "dirty", error=error)


def _act(node: Node, op: Operation) -> dict[str, Any]:
    backend = node.backends.get(op.backend)
    if backend is None:
        raise BackendUnavailable(f"{node.host} has no back end {op.backend}")
    if backend.hung:  # one more thread lost to it would help nobody
        raise BackendUnavailable(str(backend.state().reason))
    volume = VolumeRef(op.object, op.volume_id, op.size_gib, op.pool, op.spec)
    if op.verb == "create":
        return {"provider_location": backend.driver.create(volume).provider_location}
    if op.verb == "extend":
        backend.driver.extend(volume, op.size_gib)
    else:
        backend.driver.delete(volume)
    return {}


def _reply(
    node: Node,
    work: Work,
    started: str,
    outcome: str,
    *,
    result: dict[str, Any] | None = None,
    error: Exception | None = None,
) -> dict[str, Any]:
    reply: dict[str, Any] = {
        "step": work.task.rpartition(".")[2],
        "outcome": outcome,
        "node": node.host,
        "incarnation": node.ledger.number,
        "started": started,
        "finished": _now(),
        "result": result or {},
    }
    if error is not None:
        reply["error"] = {"type": type(error).__name__, "message": str(error)}
    return reply


def _end(task: Any, ended: Ended) -> dict[str, Any]:
    task.request.chain = None
    log.info("message had no effect", ended=ended.how, reason=ended.reason)
    return {"ended": ended.how, "reason": ended.reason}


def _now() -> str:
    return datetime.now(UTC).isoformat()
