"""Flows and their journal: /flows. One's own project's only, unless an administrator asks."""

import re
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from flask import current_app
from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from api import links
from api.blueprint import Blueprint
from api.context import current, settings
from api.errors import ApiError
from api.filters import equal_to
from api.listing import listed
from api.policy import authorize
from api.schemas.flows import FlowAction, FlowAnswer, FlowsAnswer
from db.models import Flow, FlowStep
from db.transactions import reading
from tasks.engine import Engine
from tasks.interventions import NotNow, cancel, retry

blp = Blueprint("flows", __name__, description="What requests did, step by step")

FILTERS = {
    "state": Flow.state,
    "kind": Flow.kind,
    "resource_id": Flow.resource_id,
    "request_id": Flow.request_id,
}
SORTABLE = {
    "id": Flow.id,
    "kind": Flow.kind,
    "state": Flow.state,
    "created_at": Flow.created_at,
    "finished_at": Flow.finished_at,
}

SECRET = re.compile(r"secret|passw|token|credential|auth|private|key$", re.IGNORECASE)
"""Names of values that a journal must not show, should a driver ever return one."""


@blp.get("/flows")
@blp.response(200, FlowsAnswer)
def list_flows() -> dict[str, Any]:
    """List flows, the newest first; filters `state`, `kind`, `resource_id`, `request_id`."""
    authorize("breezeblock:flows:list")
    return listed(
        select(Flow).where(*_own(), *equal_to(FILTERS)),
        document,
        collection="flows",
        sortable=SORTABLE,
        find=_find,
    )


@blp.get("/flows/<identifier>")
@blp.response(200, FlowAnswer)
def show_flow(identifier: str) -> dict[str, Any]:
    """Show one flow with its steps, or all flows of a request or a resource, the newest first."""
    authorize("breezeblock:flows:show")
    query = (
        select(Flow)
        .where(
            *_own(),
            or_(
                Flow.id == identifier,
                Flow.request_id == identifier,
                Flow.resource_id == identifier,
            ),
        )
        .order_by(Flow.created_at.desc(), Flow.id.desc())
        .limit(settings().api.max_limit)
    )
    with reading() as tx:
        found = tx.scalars(query).all()
        steps = _steps(tx, [flow.id for flow in found])
    if not found:
        raise _missing(identifier)
    shown = [{**document(flow), "steps": steps[flow.id]} for flow in found]
    return {"flow": shown[0]} if found[0].id == identifier else {"flows": shown}


@blp.post("/flows/<flow_id>/action")
@blp.arguments(FlowAction)
@blp.response(202, FlowAnswer)
def act(body: dict[str, Any], flow_id: str) -> dict[str, Any]:
    """Send a stuck flow again (`retry`), or take one back that is not past its pivot (`cancel`)."""
    if len(body) != 1:
        raise ApiError(400, "Exactly one action must be given: retry or cancel.")
    _find(flow_id)
    (action,) = body
    authorize(f"breezeblock:flows:{action}")
    engine: Engine = current_app.extensions["breezeblock.engine"]
    try:
        if action == "retry":
            retry(engine, flow_id)
        else:
            cancel(engine, flow_id, f"cancelled by {current().user_id}")
    except NotNow as error:
        raise ApiError(409, str(error)) from error
    flow = _find(flow_id)
    with reading() as tx:
        return {"flow": {**document(flow), "steps": _steps(tx, [flow_id])[flow_id]}}


def _own() -> list[ColumnElement[bool]]:
    return [] if current().is_admin else [Flow.project_id == current().project_id]


def _find(flow_id: str) -> Flow:
    with reading() as tx:
        found = tx.scalars(select(Flow).where(Flow.id == flow_id, *_own())).first()
    if found is None:
        raise _missing(flow_id)
    return found


def _missing(identifier: str) -> ApiError:
    return ApiError(404, f"Flow {identifier} could not be found.")


def _steps(tx: Session, flow_ids: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    steps: dict[str, list[dict[str, Any]]] = defaultdict(list)
    rows = tx.scalars(
        select(FlowStep)
        .where(FlowStep.flow_id.in_(flow_ids))
        .order_by(FlowStep.flow_id, FlowStep.seq)
    )
    for step in rows:
        steps[step.flow_id].append(step_document(step))
    return steps


def document(flow: Flow) -> dict[str, Any]:
    """A flow without its steps. What the request sent is not shown: it may hold a secret."""
    return {
        "id": flow.id,
        "kind": flow.kind,
        "state": flow.state,
        "project_id": flow.project_id,
        "user_id": flow.user_id,
        "request_id": flow.request_id,
        "resource_id": flow.resource_id,
        "admitted": flow.admitted,
        "attempt": flow.attempt,
        "epoch": flow.epoch,
        "excluded_hosts": flow.excluded_hosts if current().is_admin else [],
        "error": _error(flow.error),
        "created_at": links.time_text(flow.created_at),
        "finished_at": links.time_text(flow.finished_at),
        "duration_ms": _milliseconds(flow.created_at, flow.finished_at),
    }


def step_document(step: FlowStep) -> dict[str, Any]:
    """One line of a flow's journal."""
    return {
        "seq": step.seq,
        "step": step.step,
        "undo": step.undo,
        "outcome": step.outcome,
        "node": step.node if current().is_admin else None,
        "attempt": step.attempt,
        "epoch": step.epoch,
        "started_at": links.time_text(step.started_at),
        "finished_at": links.time_text(step.finished_at),
        "duration_ms": _milliseconds(step.started_at, step.finished_at),
        "result": without_secrets(step.result) if current().is_admin else {},
        "error": _error(step.error),
    }


def _error(error: dict[str, Any] | None) -> dict[str, Any] | None:
    """An error as the asker may see it: a tenant learns the reason, but of no host or path."""
    if error is None or current().is_admin:
        return without_secrets(error)  # type: ignore[no-any-return]  # a dict stays a dict
    theirs = error.get("status", 500) < 500 or error.get("type") in ("Cancelled", "Superseded")
    message = error.get("public") or (error.get("message") if theirs else None)
    return {
        "type": error.get("type"),
        "status": error.get("status"),
        "step": error.get("step"),
        "message": message or "The storage could not carry it out.",
    }


def _milliseconds(start: datetime, end: datetime | None) -> float | None:
    return None if end is None else round((end - start).total_seconds() * 1000, 3)


def without_secrets(value: Any) -> Any:
    """`value` with what is named like a secret masked, at any depth."""
    if isinstance(value, dict):
        return {
            key: "***" if SECRET.search(key) else without_secrets(below)
            for key, below in value.items()
        }
    if isinstance(value, list):
        return [without_secrets(below) for below in value]
    return value
