"""Idempotency-Key: a POST that is repeated with the same key takes effect once.

A key is unique for a project and user, and stands for method, path, microversion and body. The same
request gets the first one's answer; while that is in flight 409; another request with the key 422.
No answer of the 5xx kind is kept, and none that a view marks as holding a secret.

The key goes in with the effect, in one transaction: that which makes the flow, or for a request
without one its first that changes anything. So there is no key without an effect, nor two effects
for a key, wherever the API dies. The answer is kept behind it. If the API dies between the two, or
the answer is secret, the flow tells what became of the request. Without a flow nothing does: then
it is answered with 409 until the key expires, since to carry it out once more would be worse than
not to say how it ended.
"""

import hashlib
from datetime import timedelta
from typing import Any

import structlog
from flask import Flask, Response, g, request
from sqlalchemy import ColumnElement, delete, insert, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from api import answers, context
from api.errors import ApiError, fault
from db.models import Flow, IdempotencyKey, utcnow
from db.models.flow import UNFINISHED
from db.transactions import along, reading, writing

log = structlog.get_logger(__name__)

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
LONGEST_KEY = 255
IN_FLIGHT = f"A request with this {HEADER} is in flight, or its answer was not kept."


class KeyTakenError(Exception):
    """Another request with the same key took effect first; this one did not."""


def install(app: Flask) -> None:
    """Honour the header on every POST of `app`; to be installed behind authentication."""
    app.before_request(_look_up)
    app.register_error_handler(KeyTakenError, _look_again)
    app.after_request(_keep_answer)


def tie(flow_id: str) -> None:
    """Name the flow that the next transaction makes: it answers for the key of this request."""
    g.flow_of_key = flow_id


def _look_up() -> Response | None:
    g.pop("idempotency_key", None)
    key = request.headers.get(HEADER)
    if key is None or request.method != "POST" or "context" not in g:
        return None
    if not 0 < len(key) <= LONGEST_KEY or not key.isprintable():
        raise ApiError(400, f"{HEADER} must be 1 to {LONGEST_KEY} printable characters.")
    answer = _earlier(key)
    if answer is None:
        g.idempotency_key, g.flow_of_key = key, None
        along(_enter)
    return answer


def _look_again(_error: KeyTakenError) -> Response:
    try:
        return _earlier(g.pop("idempotency_key")) or fault(409, IN_FLIGHT)
    except ApiError as error:
        return fault(error.status, error.message)


def _earlier(key: str) -> Response | None:
    """What an earlier request with `key` was answered; None without one. Raises ApiError."""
    who = context.current()
    with reading() as tx:
        row = tx.get(IdempotencyKey, (who.project_id, who.user_id, key))
        flow = tx.get(Flow, row.flow_id) if row and row.flow_id else None
    if row is None:
        return None
    if row.expires_at < utcnow():
        _forget(row)
        return None
    if row.fingerprint != _fingerprint():
        raise ApiError(422, f"This {HEADER} was used for a different request.")
    if row.status is not None:
        answer = Response(row.body or "", status=row.status, content_type="application/json")
    elif flow is None or (not flow.admitted and flow.state in UNFINISHED):
        raise ApiError(409, IN_FLIGHT)
    else:
        answer = answers.answer(flow)  # not kept: it may hold a secret
        if answer.status_code >= 500:  # the flow was undone: nothing stands against a new one
            _forget(row)
            return None
    answer.headers[REPLAYED] = "true"
    return answer


def _forget(row: IdempotencyKey) -> None:
    with writing() as tx:
        tx.execute(delete(IdempotencyKey).where(*_is(row)))


def _enter(tx: Session) -> None:
    """Put the key in, with its flow if there is one. Raises KeyTakenError."""
    tied = update(IdempotencyKey).where(*_mine()).values(flow_id=g.flow_of_key)
    if tx.execute(tied.returning(IdempotencyKey.key)).first() is None:
        try:
            tx.execute(insert(IdempotencyKey).values(_row(flow_id=g.flow_of_key)))
        except IntegrityError as error:
            raise KeyTakenError from error


def _keep_answer(response: Response) -> Response:
    if "idempotency_key" not in g:
        return response
    along(None)
    try:
        with writing() as tx:
            _settle(tx, response)
    except (DBAPIError, PoolTimeout) as error:
        # The answer stands, and so does the key if there was an effect.
        log.warning("answer not kept for its key", error=str(error))
    return response


def _settle(tx: Session, response: Response) -> None:
    """Keep the answer with its key, or free the key of a request that had no effect."""
    mine = _mine()
    if g.get("answer_is_secret"):
        return
    if response.status_code == 503:
        tx.execute(delete(IdempotencyKey).where(*mine))
    elif response.status_code >= 500:
        # It may say nothing of the flow, which may be admitted: a second one must not be made.
        without = select(Flow.id).where(Flow.admitted.is_(False), Flow.state.not_in(UNFINISHED))
        tx.execute(delete(IdempotencyKey).where(*mine, IdempotencyKey.flow_id.in_(without)))
    else:
        kept = update(IdempotencyKey).where(*mine).values(_kept(response))
        if tx.execute(kept.returning(IdempotencyKey.key)).first() is None:  # it changed nothing
            tx.execute(insert(IdempotencyKey).values(_row(**_kept(response))))


def _kept(response: Response) -> dict[str, Any]:
    return {"status": response.status_code, "body": response.get_data(as_text=True)}


def _row(**columns: Any) -> dict[str, Any]:
    who = context.current()
    now = utcnow()
    return {
        "project_id": who.project_id,
        "user_id": who.user_id,
        "key": g.idempotency_key,
        "fingerprint": _fingerprint(),
        "owner": who.request_id,
        "created_at": now,
        "expires_at": now + timedelta(hours=context.settings().api.idempotency_hours),
        **columns,
    }


def _mine() -> list[ColumnElement[bool]]:
    """The key of this request, if it has put it in."""
    who = context.current()
    return [
        IdempotencyKey.project_id == who.project_id,
        IdempotencyKey.user_id == who.user_id,
        IdempotencyKey.key == g.idempotency_key,
        IdempotencyKey.owner == who.request_id,
    ]


def _is(row: IdempotencyKey) -> list[ColumnElement[bool]]:
    """This very row, and not one that took its place since."""
    return [
        IdempotencyKey.project_id == row.project_id,
        IdempotencyKey.user_id == row.user_id,
        IdempotencyKey.key == row.key,
        IdempotencyKey.owner == row.owner,
    ]


def _fingerprint() -> str:
    who = context.current()
    parts = (
        request.method,
        request.full_path,
        ".".join(map(str, who.microversion)),
        hashlib.sha256(request.get_data(cache=True)).hexdigest(),
    )
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
