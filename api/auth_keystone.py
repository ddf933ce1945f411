"""Keystone: a token in X-Auth-Token is validated by keystonemiddleware.

The middleware is asked about one request at a time and never wraps the application, so that views
marked `public` need no Keystone, and every refusal is a fault like the others.
"""

from io import BytesIO
from typing import Any

import structlog
from flask import request
from keystoneauth1 import loading
from keystoneauth1.exceptions import ClientException
from keystonemiddleware.auth_token import AuthProtocol, list_opts
from oslo_config import cfg

from api.context import Identity
from api.errors import RETRY_SECONDS, ApiError
from config.access import KeystoneSettings

GROUP = "keystone_authtoken"
CONFIRMED = "breezeblock.token_confirmed"

log = structlog.get_logger(__name__)


class KeystoneAuth:
    """Asks Keystone who a token belongs to; a service token beside it allows one that expired."""

    def __init__(self, settings: KeystoneSettings) -> None:
        self._middleware = AuthProtocol(_confirmed, {"oslo_config_config": _options(settings)})

    def __call__(self, url_project: str | None) -> Identity:
        """Who asks. Raises ApiError: 401 for a token that is not valid, 503 without Keystone."""
        found = self._validated()
        project = found.get("HTTP_X_PROJECT_ID", "")
        system_scope = found.get("HTTP_OPENSTACK_SYSTEM_SCOPE")
        if not project and system_scope:  # of no project, so of the one that it asks about
            project = url_project or ""
        return Identity(
            user_id=found["HTTP_X_USER_ID"],
            project_id=project,
            roles=_names(found.get("HTTP_X_ROLES", "")),
            system_scope=system_scope,
            domain_id=found.get("HTTP_X_DOMAIN_ID"),
            user_domain_id=found.get("HTTP_X_USER_DOMAIN_ID"),
            project_domain_id=found.get("HTTP_X_PROJECT_DOMAIN_ID"),
            is_admin_project=found.get("HTTP_X_IS_ADMIN_PROJECT", "True").lower() == "true",
            service_roles=_names(found.get("HTTP_X_SERVICE_ROLES", "")),
        )

    def _validated(self) -> dict[str, Any]:
        """The request's environment with what Keystone says of it, and nothing forged."""
        environ = request.environ | {"wsgi.input": BytesIO(), "CONTENT_LENGTH": "0"}
        refusal: dict[str, str] = {}

        def start_response(status: str, headers: list[tuple[str, str]], *_: Any) -> None:
            refusal.update(headers, status=status)

        try:
            self._middleware(environ, start_response)
        except ClientException as error:
            log.error("Keystone refuses to validate tokens", error=str(error))
            raise _unreachable() from error
        if CONFIRMED in environ:
            return environ
        if not refusal["status"].startswith("401"):
            raise _unreachable()
        raise ApiError(
            401,
            "The request you have made requires authentication.",
            {"WWW-Authenticate": refusal["WWW-Authenticate"]},
        )


def _confirmed(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    environ[CONFIRMED] = True
    start_response("204 No Content", [])
    return []


def _unreachable() -> ApiError:
    return ApiError(503, "The identity service is out of reach.", {"Retry-After": RETRY_SECONDS})


def _names(separated: str) -> frozenset[str]:
    return frozenset(name.strip() for name in separated.split(",") if name.strip())


def _options(settings: KeystoneSettings) -> cfg.ConfigOpts:
    """keystonemiddleware's options; those that are empty keep its defaults."""
    by_credential = bool(settings.application_credential_id)
    auth_type = "v3applicationcredential" if by_credential else "v3password"
    given: dict[str, Any] = {
        "auth_url": settings.auth_url,
        "www_authenticate_uri": settings.www_authenticate_uri or settings.auth_url,
        "interface": settings.interface,
        "region_name": settings.region,
        "cafile": str(settings.ca_file or ""),
        "http_connect_timeout": settings.timeout,
        "token_cache_time": settings.token_cache_time,
        "memcached_servers": [one for one in settings.memcached_servers.split(",") if one],
        "service_token_roles": list(settings.service_token_roles),
        "service_type": settings.service_type,
    }
    if by_credential:
        given |= {
            "application_credential_id": settings.application_credential_id,
            "application_credential_secret": settings.application_credential_secret,
        }
    else:
        given |= {
            "username": settings.username,
            "password": settings.password,
            "user_domain_name": settings.user_domain,
            "project_name": settings.project,
            "project_domain_name": settings.project_domain,
        }
    conf = cfg.ConfigOpts()
    conf([], default_config_files=[], default_config_dirs=[])
    loading.register_auth_conf_options(conf, GROUP)
    conf.set_override("auth_type", auth_type, GROUP)
    loader = loading.get_plugin_loader(auth_type)
    conf.register_opts(loading.get_auth_plugin_conf_options(loader), group=GROUP)
    for group, options in list_opts():
        conf.register_opts(options, group=group)
    for name, value in given.items():
        if value not in ("", []):
            conf.set_override(name, value, GROUP)
    return conf
