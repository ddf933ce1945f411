"""The answer of a request whose API died before it gave one, made anew from its flow."""

from collections.abc import Callable
from typing import Any

from flask import Response, jsonify

from api.errors import RETRY_SECONDS, ApiError, fault
from db.models import Flow

ACCEPTED = 202

Body = Callable[[str], dict[str, Any]]

_BODIES: dict[str, Body] = {}


def of(kind: str) -> Callable[[Body], Body]:
    """Mark what makes the body of a 202 to a flow of `kind`, from the id of its resource.

    It is called when the resource may be gone again. A create without one is answered with the id
    alone, any other kind without a body.
    """

    def mark(body: Body) -> Body:
        _BODIES[kind] = body
        return body

    return mark


def answer(flow: Flow) -> Response:
    """The answer of a request whose `flow` is admitted, or has ended without."""
    if not flow.admitted:
        refused = refusal(flow.error or {})
        return fault(refused.status, refused.message, refused.headers)
    resource, _, verb = flow.kind.rpartition(".")
    if flow.kind in _BODIES:
        response = jsonify(_BODIES[flow.kind](flow.resource_id))
    elif verb == "create":
        response = jsonify({resource: {"id": flow.resource_id}})
    else:
        return Response(status=ACCEPTED)
    response.status_code = ACCEPTED
    return response


def refusal(error: dict[str, Any]) -> ApiError:
    """What the client of a flow is told that ended with `error` before it was admitted."""
    status = error.get("status", 500)
    headers = {"Retry-After": RETRY_SECONDS} if status in (413, 503) else None
    return ApiError(status, str(error.get("message", "")), headers)
