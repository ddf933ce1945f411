"""HTTP basic authentication, against a file of users with their project and roles."""

import hashlib
import hmac
import secrets
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import bcrypt
from flask import request

from api.context import Identity
from api.errors import ApiError
from config.settings import SettingsError

CHALLENGE = {"WWW-Authenticate": 'Basic realm="Breezeblock", charset="UTF-8"'}
REMEMBER_SECONDS = 30.0
REMEMBER_AT_MOST = 1024

ADMIN_ROLE = "admin"
IMPLIED = {ADMIN_ROLE: {ADMIN_ROLE, "member", "reader"}, "member": {"member", "reader"}}
"""Roles that bring others with them, as a new Keystone has them."""


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

    def __call__(self, url_project: str | None) -> Identity:
        """Who asks; an administrator acts in the project that the URL names. Raises ApiError."""
        given = request.authorization
        if given is None or given.type != "basic" or given.password is None:
            raise ApiError(401, "This API wants HTTP basic authentication.", CHALLENGE)
        user = self._current_users().get(given.username or "", self._nobody)
        if not self._verify(user, given.password.encode()) or user is self._nobody:
            raise ApiError(401, "The user or the password is wrong.", CHALLENGE)
        project = user.project_id
        if ADMIN_ROLE in user.roles and url_project is not None:
            project = url_project
        return Identity(user.name, project, user.roles)

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
        named = {role.strip() for role in roles.split(",") if role.strip()}
        implied = frozenset(one for role in named for one in IMPLIED.get(role, {role}))
        users[name] = User(name, hashed.encode(), project_id, implied)
    return users
