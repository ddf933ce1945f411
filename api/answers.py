"""The answer of a request whose API died before it gave one, made anew from its flow."""

from collections.abc import Callable
from typing import Any

from flask import Response, jsonify

from api.context import current
from api.errors import RETRY_SECONDS, ApiError, fault
from db.models import Flow

OK, ACCEPTED = 200, 202

Body = Callable[[str], dict[str, Any]]

_BODIES: dict[str, tuple[Body, int]] = {}


def of(kind: str, status: int = ACCEPTED) -> Callable[[Body], Body]:
    """Mark what makes the body of the answer to a flow of `kind`, from the id of its resource.

    It is called when the resource may be gone again. A flow that has left an `answer` with its
    payload is answered with that, a create without either with the id alone, any other kind without
    a body.
    """

    def mark(body: Body) -> Body:
        _BODIES[kind] = body, status
        return body

    return mark


def answer(flow: Flow) -> Response:
    """The answer of a request whose `flow` is admitted, or has ended without."""
    if not flow.admitted:
        refused = refusal(flow.error or {})
        return fault(refused.status, refused.message, refused.headers)
    resource, _, verb = flow.kind.rpartition(".")
    status = ACCEPTED
    if "answer" in flow.payload:
        response, status = jsonify(flow.payload["answer"]), OK
    elif flow.kind in _BODIES:
        body, status = _BODIES[flow.kind]
        response = jsonify(body(flow.resource_id))
    elif verb == "create":
        response = jsonify({resource: {"id": flow.resource_id}})
    else:
        return Response(status=ACCEPTED)
    response.status_code = status
    return response


def refusal(error: dict[str, Any]) -> ApiError:
    """What the client of a flow is told that ended with `error` before it was admitted.

    A tenant is not told what a node says of its storage.
    """
    status, text = error.get("status", 500), str(error.get("message", ""))
    if status == 500 and not current().is_admin:
        text = str(error.get("public") or "The storage could not carry it out.")
    headers = {"Retry-After": RETRY_SECONDS} if status in (413, 503) else None
    return ApiError(status, text, headers)
