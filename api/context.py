"""Who asks, for which project, and by which version of the API: one value for each request."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from flask import current_app, g

from config.settings import Settings


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom authentication found. `project_id` is empty for a token that is of no project.

    `system_scope` is `all` for a token of the whole installation. `is_admin` is what policy says
    of the roles, unless it is certain already.
    """

    user_id: str
    project_id: str
    roles: frozenset[str]
    is_admin: bool | None = None
    system_scope: str | None = None
    domain_id: str | None = None
    user_domain_id: str | None = None
    project_domain_id: str | None = None
    is_admin_project: bool = True
    service_roles: frozenset[str] = frozenset()

    def credentials(self) -> dict[str, Any]:
        """What the rules of a policy may refer to, by the names that OpenStack's services give."""
        return {
            "user_id": self.user_id,
            "project_id": self.project_id or None,
            "roles": sorted(self.roles),
            "system_scope": self.system_scope,
            "domain_id": self.domain_id,
            "user_domain_id": self.user_domain_id,
            "project_domain_id": self.project_domain_id,
            "is_admin_project": self.is_admin_project,
            "service_roles": sorted(self.service_roles),
        }


@dataclass(frozen=True, slots=True)
class RequestContext:
    """What the views know of a request.

    `request_id` is `req-<uuid>` and always our own; `global_request_id` is what another service
    that called us sent along. `microversion` is (major, minor). `is_admin` says that the request
    sees every project's rows; what it may do to them is for `api.policy`, by its `credentials`; it
    keeps its `answers` here.
    """

    request_id: str
    project_id: str
    user_id: str
    is_admin: bool
    microversion: tuple[int, int]
    global_request_id: str | None = None
    credentials: Mapping[str, Any] = field(default_factory=dict)
    answers: dict[tuple[str, str], bool] = field(default_factory=dict)


def current() -> RequestContext:
    """The context of the request being served; only after authentication."""
    return cast(RequestContext, g.context)


def settings() -> Settings:
    """The settings that the application was made with."""
    return cast(Settings, current_app.extensions["breezeblock.settings"])


def new_request_id() -> str:
    """A request id as OpenStack's services write it."""
    return f"req-{uuid.uuid4()}"
