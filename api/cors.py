"""Cross-origin requests: what a browser must be told before it lets another site's page ask.

Nothing of it is sent unless `cors.allowed_origins` names the page's origin, or is `*`.
"""

from flask import Flask, Response, request

from config.access import CorsSettings

METHODS = "GET, HEAD, POST, PUT, DELETE"
ALLOWED_HEADERS = (
    "Accept, Authorization, Content-Type, Idempotency-Key, If-Match, OpenStack-API-Version, "
    "X-Auth-Token, X-OpenStack-Request-ID, X-Service-Token"
)
EXPOSED_HEADERS = "ETag, OpenStack-API-Version, Retry-After, X-OpenStack-Request-ID"


def install(app: Flask, settings: CorsSettings) -> None:
    """Answer preflights of `app` and mark its answers; before authentication, which has none."""
    allowed = frozenset(settings.allowed_origins)
    if not allowed:
        return

    def is_allowed() -> bool:
        origin = request.headers.get("Origin")
        return origin is not None and ("*" in allowed or origin in allowed)

    @app.before_request
    def _preflight() -> Response | None:
        asked = request.headers.get("Access-Control-Request-Method")
        if request.method != "OPTIONS" or asked is None or not is_allowed():
            return None
        response = Response(status=204)
        response.headers["Access-Control-Allow-Methods"] = METHODS
        response.headers["Access-Control-Allow-Headers"] = ALLOWED_HEADERS
        response.headers["Access-Control-Max-Age"] = str(settings.max_age)
        return response

    @app.after_request
    def _mark(response: Response) -> Response:
        response.vary.add("Origin")  # a cache keeps one answer for each
        if is_allowed():
            response.headers["Access-Control-Allow-Origin"] = (
                "*" if "*" in allowed else request.headers["Origin"]
            )
            response.headers["Access-Control-Expose-Headers"] = EXPOSED_HEADERS
            if settings.allow_credentials:
                response.headers["Access-Control-Allow-Credentials"] = "true"
        return response
