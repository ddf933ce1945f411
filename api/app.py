"""The WSGI application: wiring, once, in one place."""

from importlib import import_module
from typing import Any

from flask import Flask, Response, g, request
from structlog.contextvars import bind_contextvars, clear_contextvars

import db
from api import (
    admission,
    auth,
    cors,
    errors,
    health,
    idempotency,
    microversion,
    openapi,
    policy,
    rate_limit,
)
from api.context import new_request_id
from config.settings import Settings

RESOURCES: tuple[str, ...] = (
    "api.volumes",
    "api.volume_metadata",
    "api.volume_actions",
    "api.snapshots",
    "api.snapshot_metadata",
    "api.snapshot_actions",
    "api.attachments",
    "api.volume_types",
    "api.type_extra_specs",
    "api.type_access",
    "api.type_encryption",
    "api.qos_specs",
    "api.default_types",
    "api.transfers",
    "api.group_types",
    "api.group_specs",
    "api.groups",
    "api.group_actions",
    "api.group_snapshots",
    "api.consistency_groups",
    "api.cgsnapshots",
    "api.messages",
    "api.quota_sets",
    "api.limits",
    "api.services",
    "api.log_levels",
    "api.pools",
    "api.availability_zones",
    "api.hosts",
    "api.clusters",
    "api.manageable",
    "api.capabilities",
    "api.resource_filters",
    "api.workers",
    "api.extensions",
    "api.flows",
    "api.nodes",
    "api.residues",
    "api.dead_letters",
    "api.audits",
)
"""Modules with a blueprint `blp`, served below /v3/{project_id} and, without project, /v3."""

ROOT_RESOURCES: tuple[str, ...] = ("api.versions", "api.health")
"""Modules with a blueprint `blp` that is served as it stands."""

GLOBAL_REQUEST_ID = "X-OpenStack-Request-ID"


def create_app(settings: Settings) -> Flask:
    """The API with everything that `settings` say.

    Raises SettingsError for a password file or a policy file that is wrong.
    """
    app = Flask("breezeblock")
    app.url_map.strict_slashes = False
    app.json.sort_keys = False  # type: ignore[attr-defined]  # of the default provider
    app.config.update(
        MAX_CONTENT_LENGTH=settings.api.max_body_bytes,
        API_TITLE="Breezeblock Block Storage",
        API_VERSION=microversion.text(microversion.MAX_VERSION),
        OPENAPI_VERSION="3.1.0",
    )
    app.extensions["breezeblock.settings"] = settings
    db.init_app(app, settings)
    errors.install(app)
    app.url_value_preprocessor(_take_project)
    app.before_request(_begin)
    cors.install(app, settings.cors)
    app.before_request(microversion.take)
    auth.install(app, settings)
    rate_limit.install(app, settings.api)
    policy.install(app, settings)
    idempotency.install(app)
    admission.install(app, settings)
    health.install(app)
    app.after_request(_finish)
    _register(app)
    return app


def _register(app: Flask) -> None:
    api = openapi.Api(app)
    for name in RESOURCES:
        blueprint = import_module(name).blp
        api.register_blueprint(blueprint, url_prefix="/v3/<project_id>")
        app.register_blueprint(blueprint, url_prefix="/v3", name=f"{blueprint.name}_of_token")
    for name in ROOT_RESOURCES:
        api.register_blueprint(import_module(name).blp)
    openapi.install(app, api)


def _take_project(_endpoint: str | None, values: dict[str, Any] | None) -> None:
    """Views know the project from the context, whichever form the URL has."""
    g.url_project = values.pop("project_id", None) if values else None


def _begin() -> None:
    g.request_id = new_request_id()
    sent = request.headers.get(GLOBAL_REQUEST_ID, "")
    g.global_request_id = sent if sent.startswith("req-") and len(sent) == 40 else None
    clear_contextvars()
    bind_contextvars(request_id=g.request_id)
    if "\0" in request.path or b"%00" in request.query_string:
        raise errors.ApiError(404 if "\0" in request.path else 400, "There is a NUL in the URL.")
    # refused before it is read; a body of unknown length is counted while it is
    if (request.content_length or 0) > (request.max_content_length or 0):
        raise errors.ApiError(413, errors.TEXTS[413])


def _finish(response: Response) -> Response:
    response.headers["x-openstack-request-id"] = g.request_id
    return microversion.stamp(response)
