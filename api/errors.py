"""Faults: what a refusal looks like, and how every error becomes one.

ApiError            a refusal with its status and text
InvalidStatus       400, a status or a running flow forbids it       (db.transitions)
NotFound            404                                              (db.transitions)
OverQuota           413, with the numbers                            (db.quota)
HTTPException       Flask's own: unknown route, method, body too large
OperationalError    503 where only something was read: the database is out of reach
anything else       500 with the request id only; the log has the traceback
"""

from collections.abc import Mapping

import structlog
from flask import Flask, Response, g, jsonify, request
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException

from db.quota import OverQuota
from db.transactions import may_have_changed
from db.transitions import InvalidStatus, NotFound
from tasks.refusals import as_refusal

log = structlog.get_logger(__name__)

FAULT_NAMES = {
    400: "badRequest",
    401: "unauthorized",
    403: "forbidden",
    404: "itemNotFound",
    405: "badMethod",
    409: "conflictingRequest",
    413: "overLimit",
    415: "badMediaType",
    501: "notImplemented",
    503: "serviceUnavailable",
}
"""Names by status, as in Cinder, where a status that is not here is an OTHER_FAULT too."""
OTHER_FAULT = "computeFault"

TEXTS = {
    404: "The resource could not be found.",
    405: "The method is not allowed for this resource.",
    413: "The request's body is too large.",
    415: "Unsupported Content-Type: the body must be application/json.",
}
"""Plain texts for the refusals that Flask makes itself."""

RETRY_SECONDS = "5"


class ApiError(Exception):
    """A request is refused with this status and text."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.headers = status, message, dict(headers or {})


def fault(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """The response for a refusal, in the v3 API's format."""
    body: dict[str, int | str] = {"code": status, "message": message}
    if status == 413 and headers and "Retry-After" in headers:
        body["retryAfter"] = headers["Retry-After"]
    response = jsonify({FAULT_NAMES.get(status, OTHER_FAULT): body})
    response.status_code = status
    response.headers.update(headers or {})
    return response


def install(app: Flask) -> None:
    """Give every error that a request of `app` may end in the form of a fault."""
    app.register_error_handler(ApiError, _api_error)
    app.register_error_handler(InvalidStatus, _invalid_status)
    app.register_error_handler(NotFound, _not_found)
    app.register_error_handler(OverQuota, _over_quota)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(OperationalError, _database_error)
    app.register_error_handler(PoolTimeout, _database_error)
    app.register_error_handler(Exception, _unexpected)


def _api_error(error: ApiError) -> Response:
    return fault(error.status, error.message, error.headers)


def _invalid_status(error: InvalidStatus) -> Response:
    return fault(400, str(error))


def _not_found(error: NotFound) -> Response:
    return fault(404, str(error))


def _over_quota(error: OverQuota) -> Response:
    return fault(413, str(as_refusal(error)), {"Retry-After": RETRY_SECONDS})


def _http_error(error: HTTPException) -> Response | HTTPException:
    status = error.code or 500
    if status < 400:
        return error  # a redirect is no fault
    headers = {name: value for name, value in error.get_headers() if name != "Content-Type"}
    return fault(status, TEXTS.get(status) or error.description or error.name, headers)


def _database_error(error: Exception) -> Response:
    """503 says that nothing was done, which is certain only before the first commit."""
    if may_have_changed():
        return _unexpected(error)
    log.warning("database out of reach", path=request.path, error=str(error))
    return fault(503, "The database is out of reach.", {"Retry-After": RETRY_SECONDS})


def _unexpected(_error: Exception) -> Response:
    log.exception("request failed", method=request.method, path=request.path)
    return fault(
        500, f"The server failed on this request; its log has the reason by {g.request_id}."
    )
