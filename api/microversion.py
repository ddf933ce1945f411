"""Which version of the v3 API a request speaks (OpenStack-API-Version)."""

import re

from flask import Response, g, request

from api.context import current
from api.errors import TEXTS, ApiError

HEADER = "OpenStack-API-Version"
SERVICE = "volume"
MIN_VERSION = (3, 0)
MAX_VERSION = (3, 71)

_VERSION = re.compile(r"([1-9]\d{0,3})\.(0|[1-9]\d{0,3})")


def text(version: tuple[int, int]) -> str:
    """`3.70` for (3, 70)."""
    return f"{version[0]}.{version[1]}"


def negotiate(header: str | None) -> tuple[int, int]:
    """The version that a header asks for; without one for this service, the lowest.

    The header may name several services, apart by commas. Raises ApiError: 400 for what is no
    version, 406 for one outside the range.
    """
    wanted = _of_this_service(header or "")
    if wanted is None:
        return MIN_VERSION
    if wanted == "latest":
        return MAX_VERSION
    match = _VERSION.fullmatch(wanted)
    if match is None:
        raise ApiError(
            400,
            f"API Version String {wanted!r} is of invalid format. Must be of format "
            "MajorNum.MinorNum.",
        )
    version = (int(match[1]), int(match[2]))
    if not MIN_VERSION <= version <= MAX_VERSION:
        raise ApiError(
            406,
            f"Version {text(version)} is not supported by the API. Minimum is {text(MIN_VERSION)} "
            f"and maximum is {text(MAX_VERSION)}.",
        )
    return version


def _of_this_service(header: str) -> str | None:
    for part in header.split(","):
        words = part.split()
        if words and words[0].lower() == SERVICE:
            return " ".join(words[1:])
    return None


def take() -> None:
    """Negotiate the version of the request being served."""
    g.microversion = negotiate(request.headers.get(HEADER))


def stamp(response: Response) -> Response:
    """Say in a response which version it speaks."""
    if "microversion" in g:
        response.headers[HEADER] = f"{SERVICE} {text(g.microversion)}"
        response.vary.add(HEADER)
    return response


def since(minor: int) -> None:
    """Raise ApiError (404) for a request of a version that does not have the resource yet."""
    if not at_least(minor):
        raise ApiError(404, TEXTS[404])


def at_least(minor: int) -> bool:
    """Whether the request being served speaks 3.`minor` or later."""
    return current().microversion >= (3, minor)
