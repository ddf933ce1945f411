"""Admission: commit a flow's row, send its chain, and answer once it was admitted or refused.

Admission and cancellation change the same row under the same lock, so exactly one of them wins: a
503 means that nothing exists and nothing will, a 202 that row and quota are durable.
"""

import time
from collections.abc import Callable
from typing import Any, TypeVar

import structlog
from flask import Flask, current_app, request
from sqlalchemy import bindparam, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from api import answers, context, idempotency
from api.errors import RETRY_SECONDS, ApiError
from config.settings import Settings
from db import journal
from db.models import Flow, new_id
from db.models.flow import RUNNING
from db.transactions import reading, retrying, writing
from tasks import dispatch
from tasks.app import make_sender
from tasks.engine import Engine
from tasks.notices import Listener

log = structlog.get_logger(__name__)
T = TypeVar("T")

LOOK_SECONDS = 0.5
"""How long to trust in a notice before looking into the database all the same."""
RETRY_AFTER = {"Retry-After": RETRY_SECONDS}

_VERDICT = select(Flow.admitted, Flow.error, Flow.resource_id).where(
    Flow.id == bindparam("of_flow")
)


class UnanswerableError(Exception):
    """What became of the request cannot be known now, so no status would be honest."""


def install(app: Flask, settings: Settings) -> None:
    """Give `app` what it needs to send flows."""
    engine = make_sender(settings)
    app.extensions["breezeblock.engine"] = engine
    app.extensions["breezeblock.listener"] = Listener(engine.app)
    app.register_error_handler(UnanswerableError, _close)


def submit(kind: str, resource_id: str, payload: dict[str, Any]) -> str:
    """Run a flow up to its admission; returns `resource_id`.

    Raises ApiError: the flow's refusal, or 503 when nobody admits it within the time-out.
    """
    engine: Engine = current_app.extensions["breezeblock.engine"]
    flow_id = new_id()
    listener: Listener = current_app.extensions["breezeblock.listener"]
    with listener.expecting(flow_id) as woken:
        flow = _insert(engine, flow_id, kind, resource_id, payload)
        engine.send(dispatch.first(engine.definitions[kind], flow))
        try:
            return _await(engine, flow_id, woken.wait)
        except (DBAPIError, PoolTimeout) as error:
            raise UnanswerableError(flow_id) from error


def ask(kind: str, resource_id: str, payload: dict[str, Any]) -> dict[str, Any]:
    """Run a flow that its node answers; returns the `answer` that its last step has left with it.

    Raises ApiError as `submit` does.
    """
    submit(kind, resource_id, payload)
    of_request = Flow.request_id == context.current().request_id
    with reading() as tx:
        left = tx.scalars(select(Flow.payload).where(of_request, Flow.kind == kind)).one()
    answer: dict[str, Any] = left["answer"]
    return answer


def _insert(
    engine: Engine, flow_id: str, kind: str, resource_id: str, payload: dict[str, Any]
) -> Flow:
    who = context.current()
    if not who.project_id and kind.endswith(".create"):
        raise ApiError(400, "What is created belongs to a project, and the token is of none.")
    flow = journal.new_flow(
        kind,
        str(engine.definitions[kind].steps[0].queue),
        resource_id,
        {**payload, "is_admin": who.is_admin},
        project_id=who.project_id,
        user_id=who.user_id,
        request_id=who.request_id,
        flow_id=flow_id,
    )
    idempotency.tie(flow_id)
    committing = False
    try:
        with writing() as tx:
            journal.begin(tx, flow)
            committing = True
    except (DBAPIError, PoolTimeout) as error:
        if committing:  # the commit may have reached the database all the same
            raise UnanswerableError(flow_id) from error
        log.warning("database out of reach", error=str(error))
        raise ApiError(503, "The database is out of reach.", RETRY_AFTER) from error
    return flow


def _await(engine: Engine, flow_id: str, wait: Callable[[float], Any]) -> str:
    deadline = time.monotonic() + engine.settings.api.admission_timeout
    while (left := deadline - time.monotonic()) > 0:
        wait(min(left, LOOK_SECONDS))
        with reading() as tx:
            resource_id = _verdict(tx, flow_id)
        if resource_id is not None:
            return resource_id
    return retrying(lambda: _cancel(engine, flow_id))


def _verdict(tx: Session, flow_id: str) -> str | None:
    """The resource's id once the flow is admitted, None while it is open. Raises its refusal."""
    row = tx.execute(_VERDICT, {"of_flow": flow_id}).one()
    if row.admitted:
        return str(row.resource_id)
    if row.error is None:
        return None
    raise answers.refusal(row.error)


def _cancel(engine: Engine, flow_id: str) -> str:
    """Take the request back, unless it is admitted at this very moment."""
    outgoing = None
    with writing() as tx:
        flow = journal.lock(tx, flow_id)
        if flow is None or flow.admitted or flow.state != RUNNING:
            resource_id = _verdict(tx, flow_id)
            if resource_id is not None:
                return resource_id
        elif engine.definitions[flow.kind].is_past_pivot(flow.position):
            flow.admitted = True  # it only goes forward, however long its node needs
            return flow.resource_id
        else:
            error = {
                "type": "Cancelled",
                "status": 503,
                "message": "No control worker has admitted the request in time; nothing was done.",
            }
            outgoing = engine.abort(tx, flow, error)
    if outgoing is not None:
        engine.send(outgoing)
    log.warning("request cancelled: nobody admitted it in time", flow=flow_id)
    raise ApiError(
        503, "The service is busy or down: nothing was done. Try again later.", RETRY_AFTER
    )


def _close(error: UnanswerableError) -> tuple[str, int]:
    """Close the connection without an answer; an Idempotency-Key tells the client later."""
    log.error("connection closed without an answer: the database is out of reach", flow=str(error))
    connection = request.environ.get("gunicorn.socket")
    if connection is not None:
        connection.close()
    return "", 500
