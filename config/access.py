"""The sections of the settings about who may ask: Keystone's tokens, and pages of other origins."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from config.rules import SettingsError, boolean, choice, names, origins, path, text, whole

URL = r"|https?://\S+"
A_URL = "empty or an http(s):// URL"
A_SERVER_LIST = "empty or host:port, separated by commas"


@dataclass(frozen=True, slots=True)
class KeystoneSettings:
    """How tokens are validated with ``api.auth = "keystone"``; times in seconds.

    The service's own user is ``username`` with ``password`` in ``project``, or an application
    credential. ``password`` and ``application_credential_secret`` are secrets.
    """

    auth_url: Annotated[str, text(URL, A_URL)] = ""
    www_authenticate_uri: Annotated[str, text(URL, A_URL)] = ""
    username: Annotated[str, text(r".{0,255}", "a user's name")] = "cinder"
    password: Annotated[str, text(r".*", "a password")] = field(default="", repr=False)
    user_domain: Annotated[str, text(r".{1,64}", "a domain's name")] = "Default"
    project: Annotated[str, text(r".{1,64}", "a project's name")] = "service"
    project_domain: Annotated[str, text(r".{1,64}", "a domain's name")] = "Default"
    application_credential_id: Annotated[str, text(r"\S*", "an id")] = ""
    application_credential_secret: Annotated[str, text(r"\S*", "a secret")] = field(
        default="", repr=False
    )
    region: Annotated[str, text(r".{0,255}", "empty or a region's id")] = ""
    interface: Annotated[str, choice("internal", "public", "admin")] = "internal"
    ca_file: Annotated[Path | None, path()] = None
    timeout: Annotated[int, whole(1, 600, "seconds")] = 10
    token_cache_time: Annotated[int, whole(-1, 86400, "seconds")] = 300
    memcached_servers: Annotated[str, text(r"|[\w.:\[\]-]+(,[\w.:\[\]-]+)*", A_SERVER_LIST)] = ""
    service_token_roles: Annotated[tuple[str, ...], names()] = ("service",)
    service_type: Annotated[str, text(r"[a-z0-9-]+", "a service's type")] = "block-storage"


@dataclass(frozen=True, slots=True)
class CorsSettings:
    """Which pages of other origins a browser lets ask; ``max_age`` in seconds."""

    allowed_origins: Annotated[tuple[str, ...], origins()] = ()
    allow_credentials: Annotated[bool, boolean()] = False
    max_age: Annotated[int, whole(0, 86400, "seconds")] = 3600


def check_keystone(keystone: KeystoneSettings) -> None:
    """Raise SettingsError for what is missing to validate tokens."""
    needed = {"auth_url": keystone.auth_url}
    if keystone.application_credential_id:
        needed["application_credential_secret"] = keystone.application_credential_secret
    else:
        needed |= {"username": keystone.username, "password": keystone.password}
    for key, value in needed.items():
        if not value:
            raise SettingsError(f"keystone.{key} is empty with api.auth = 'keystone'")


def check_cors(cors: CorsSettings) -> None:
    """Raise SettingsError where any page could use a visitor's credentials."""
    if cors.allow_credentials and "*" in cors.allowed_origins:
        raise SettingsError(
            "cors.allow_credentials = true: cors.allowed_origins must name the origins, not '*'"
        )
