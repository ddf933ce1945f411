"""Who asks, for which project, and by which version of the API: one value for each request."""

import uuid
from dataclasses import dataclass
from typing import cast

from flask import current_app, g

from config.settings import Settings

ADMIN_ROLE = "admin"


@dataclass(frozen=True, slots=True)
class RequestContext:
    """What the views know of a request.

    `request_id` is `req-<uuid>` and always our own; `global_request_id` is what another service
    that called us sent along. `microversion` is (major, minor).
    """

    request_id: str
    project_id: str
    user_id: str
    roles: frozenset[str]
    is_admin: bool
    microversion: tuple[int, int]
    global_request_id: str | None = None


def current() -> RequestContext:
    """The context of the request being served; only after authentication."""
    return cast(RequestContext, g.context)


def settings() -> Settings:
    """The settings that the application was made with."""
    return cast(Settings, current_app.extensions["breezeblock.settings"])


def new_request_id() -> str:
    """A request id as OpenStack's services write it."""
    return f"req-{uuid.uuid4()}"
