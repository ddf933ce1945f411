"""Authentication: who asks, by `api.auth` of the settings. A view marked `public` asks nobody."""

import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import bcrypt
from flask import Flask, current_app, g, request

from api.context import ADMIN_ROLE, RequestContext, current
from api.errors import ApiError
from config.settings import Settings, SettingsError

Authenticate = Callable[[str | None], tuple[str, str, frozenset[str]]]
"""From the URL's project (None without one) to user, project and roles; raises ApiError."""

View = TypeVar("View", bound=Callable)

CHALLENGE = {"WWW-Authenticate": 'Basic realm="Breezeblock", charset="UTF-8"'}
REMEMBER_SECONDS = 30.0
REMEMBER_AT_MOST = 1024


def public(view: View) -> View:
    """Mark a view that answers without authentication."""
    view.is_public = True  # type: ignore[attr-defined]  # a function takes any attribute
    return view


def require_admin(rule: str) -> None:
    """Refuse the request (403) unless an administrator asks; `rule` is Cinder's policy name."""
    if not current().is_admin:
        raise ApiError(403, f"Policy doesn't allow {rule} to be performed.")


def install(app: Flask, settings: Settings) -> None:
    """Authenticate every request of `app`."""
    authenticate: Authenticate = noauth
    if settings.api.auth == "http_basic":
        if settings.api.password_file is None:
            raise SettingsError("api.password_file is empty with api.auth = 'http_basic'")
        authenticate = BasicAuth(settings.api.password_file)

    @app.before_request
    def _authenticate() -> None:
        view = current_app.view_functions.get(request.endpoint or "")
        if view is None or not getattr(view, "is_public", False):
            g.context = _context(*authenticate(g.url_project))


def _context(user: str, project: str, roles: frozenset[str]) -> RequestContext:
    is_admin = ADMIN_ROLE in roles
    url_project = g.url_project
    if not _plausible(project) or not _plausible(user):
        raise ApiError(400, "A user's and a project's id are 1 to 255 printable characters.")
    if url_project is not None and url_project != project:
        raise ApiError(400, "Malformed request url")
    return RequestContext(
        request_id=g.request_id,
        project_id=project,
        user_id=user,
        roles=roles,
        is_admin=is_admin,
        microversion=g.microversion,
        global_request_id=g.global_request_id,
    )


def _plausible(name: str) -> bool:
    return 0 < len(name) <= 255 and name.isprintable()


def noauth(url_project: str | None) -> tuple[str, str, frozenset[str]]:
    """Everybody is an administrator, as in Cinder; the token `user:project` says who and where.

    A token that names no project, such as the `notused` of keystoneauth's plugin `none`, leaves
    that to the URL; where neither names one, the user's name is the project's.
    """
    user, _, project = request.headers.get("X-Auth-Token", "").partition(":")
    user = user or "admin"
    return user, project or url_project or user, frozenset({ADMIN_ROLE})


@dataclass(frozen=True, slots=True)
class User:
    """One line of the password file."""

    name: str
    hash: bytes
    project_id: str
    roles: frozenset[str]


class BasicAuth:
    """HTTP basic authentication against lines `user:bcrypt-hash:project_id:role[,role]`.

    The file is read again when it changes. A password that was right is remembered for
    REMEMBER_SECONDS under a digest keyed by a secret of this process, because bcrypt takes long on
    purpose and a client sends its password with each request.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._key = secrets.token_bytes(32)
        self._remembered: dict[bytes, float] = {}
        # an unknown user costs as much time as a known one, so that names cannot be told by it
        self._nobody = User("", bcrypt.hashpw(b"nobody", bcrypt.gensalt()), "", frozenset())
        self._version, self._users = self._stat(), read_passwords(file)

    def __call__(self, url_project: str | None) -> tuple[str, str, frozenset[str]]:
        given = request.authorization
        if given is None or given.type != "basic" or given.password is None:
            raise ApiError(401, "This API wants HTTP basic authentication.", CHALLENGE)
        user = self._current_users().get(given.username or "", self._nobody)
        if not self._verify(user, given.password.encode()) or user is self._nobody:
            raise ApiError(401, "The user or the password is wrong.", CHALLENGE)
        project = user.project_id
        if ADMIN_ROLE in user.roles and url_project is not None:
            project = url_project
        return user.name, project, user.roles

    def _stat(self) -> tuple[int, int]:
        status = self._file.stat()
        return status.st_mtime_ns, status.st_size

    def _current_users(self) -> dict[str, User]:
        version = self._stat()
        if version != self._version:
            with self._lock:
                self._version, self._users = version, read_passwords(self._file)
        return self._users

    def _verify(self, user: User, password: bytes) -> bool:
        digest = hmac.digest(self._key, user.hash + b"\0" + password, hashlib.sha256)
        now = time.monotonic()
        if self._remembered.get(digest, 0.0) > now:
            return True
        try:
            right = bcrypt.checkpw(password, user.hash)
        except ValueError:  # longer than the 72 bytes that bcrypt takes
            return False
        if right:
            with self._lock:
                if len(self._remembered) >= REMEMBER_AT_MOST:
                    self._remembered.clear()
                self._remembered[digest] = now + REMEMBER_SECONDS
        return right


def read_passwords(file: Path) -> dict[str, User]:
    """The users in a password file; raises SettingsError naming the line, never its content."""
    users = {}
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise SettingsError(
            f"api.password_file = '{file}': cannot be read: {error.strerror}"
        ) from error
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        parts = line.strip().split(":")
        if len(parts) != 4 or not parts[0] or not parts[1].startswith("$2") or not parts[2]:
            raise SettingsError(
                f"api.password_file = '{file}': line {number} must be "
                "user:bcrypt-hash:project_id:role[,role]"
            )
        name, hashed, project_id, roles = parts
        named = frozenset(role.strip() for role in roles.split(",") if role.strip())
        users[name] = User(name, hashed.encode(), project_id, named)
    return users
