"""Idempotency-Key: a POST that is repeated with the same key takes effect once.

A key is unique for a project and user, and stands for method, path, microversion and body. The same
request gets the first one's answer; while that is in flight 409; another request with the key 422.
No answer of the 5xx kind is kept, and none that a view marks as holding a secret.
"""

import hashlib
from datetime import timedelta

import structlog
from flask import Flask, Response, g, request
from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from api import context
from api.errors import RETRY_SECONDS, ApiError
from db.models import Flow, IdempotencyKey, utcnow
from db.models.flow import UNFINISHED
from db.transactions import is_transient, writing

log = structlog.get_logger(__name__)

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
LONGEST_KEY = 255
LEASE_SECONDS = 60
"""A request without flow or answer for so long has died before it did anything."""


def install(app: Flask) -> None:
    """Honour the header on every POST of `app`; to be installed behind authentication."""
    app.before_request(_look_up)
    app.after_request(_keep_answer)


def earlier_flow() -> str | None:
    """The flow that an earlier request with this key began, when it never got its answer."""
    flow_id: str | None = g.get("earlier_flow")
    return flow_id


def remember_flow(tx: Session, flow_id: str) -> None:
    """Tie the key of this request to its flow, in the transaction that makes the flow."""
    if "idempotency_key" in g:
        tx.execute(update(IdempotencyKey).where(*_mine()).values(flow_id=flow_id))


def _mine() -> list[ColumnElement[bool]]:
    who = context.current()
    return [
        IdempotencyKey.project_id == who.project_id,
        IdempotencyKey.user_id == who.user_id,
        IdempotencyKey.key == g.idempotency_key,
        IdempotencyKey.owner == who.request_id,
    ]


def _look_up() -> Response | None:
    key = request.headers.get(HEADER)
    if key is None or request.method != "POST" or "context" not in g:
        return None
    if not 0 < len(key) <= LONGEST_KEY or not key.isprintable():
        raise ApiError(400, f"{HEADER} must be 1 to {LONGEST_KEY} printable characters.")
    try:
        with writing() as tx:
            answer = _claim(tx, key)
    except IntegrityError:  # another request with the key came first, just now
        raise ApiError(409, f"A request with this {HEADER} is in flight.") from None
    except (DBAPIError, PoolTimeout) as error:
        if not is_transient(error):
            raise
        # also when the key is in: nothing was done in its name
        raise ApiError(
            503, "The database is out of reach.", {"Retry-After": RETRY_SECONDS}
        ) from error
    if answer is None:
        g.idempotency_key = key
    return answer


def _claim(tx: Session, key: str) -> Response | None:
    """Make the key this request's; or the answer that it got before. Raises ApiError."""
    who = context.current()
    row = tx.get(IdempotencyKey, (who.project_id, who.user_id, key), with_for_update=True)
    if row is not None and row.expires_at < utcnow():
        tx.delete(row)
        tx.flush()
        row = None
    if row is None:
        hours = context.settings().api.idempotency_hours
        tx.add(
            IdempotencyKey(
                project_id=who.project_id,
                user_id=who.user_id,
                key=key,
                fingerprint=_fingerprint(),
                owner=who.request_id,
                expires_at=utcnow() + timedelta(hours=hours),
            )
        )
        return None
    if row.fingerprint != _fingerprint():
        raise ApiError(422, f"This {HEADER} was used for a different request.")
    if row.status is not None:
        replay = Response(row.body or "", status=row.status, content_type="application/json")
        replay.headers[REPLAYED] = "true"
        return replay
    _take_over(tx, row, who.request_id)
    return None


def _take_over(tx: Session, row: IdempotencyKey, request_id: str) -> None:
    """Go on for a request that never answered. Raises ApiError (409) while it still may."""
    flow = tx.get(Flow, row.flow_id) if row.flow_id else None
    open_still = flow is not None and not flow.admitted and flow.state in UNFINISHED
    fresh = (utcnow() - row.created_at).total_seconds() < LEASE_SECONDS
    if open_still or (flow is None and fresh):
        raise ApiError(409, f"A request with this {HEADER} is in flight.")
    row.owner = request_id
    if flow is not None:
        g.earlier_flow = flow.id


def _fingerprint() -> str:
    who = context.current()
    parts = (
        request.method,
        request.full_path,
        ".".join(map(str, who.microversion)),
        hashlib.sha256(request.get_data(cache=True)).hexdigest(),
    )
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _keep_answer(response: Response) -> Response:
    if "idempotency_key" not in g or response.headers.get(REPLAYED):
        return response
    try:
        with writing() as tx:
            _settle(tx, response)
    except (DBAPIError, PoolTimeout) as error:
        # The answer stands. A repetition finds the flow by the key, or none when the lease is over.
        log.warning("answer not kept for its key", error=str(error))
    return response


def _settle(tx: Session, response: Response) -> None:
    """Keep the answer with its key, or free the key of a request that had no effect."""
    mine = _mine()
    if g.get("answer_is_secret"):
        return
    if response.status_code < 500:
        values = {"status": response.status_code, "body": response.get_data(as_text=True)}
        tx.execute(update(IdempotencyKey).where(*mine).values(values))
        return
    if response.status_code != 503:
        # It may say nothing of the flow, which may be admitted: a second one must not be made.
        without = select(Flow.id).where(Flow.admitted.is_(False), Flow.state.not_in(UNFINISHED))
        mine.append(IdempotencyKey.flow_id.is_(None) | IdempotencyKey.flow_id.in_(without))
    tx.execute(delete(IdempotencyKey).where(*mine))
