"""Authentication: who asks, by `api.auth` of the settings. A view marked `public` asks nobody."""

from collections.abc import Callable
from typing import TypeVar

from flask import Flask, current_app, g, request

from api import policy
from api.auth_basic import BasicAuth
from api.context import Identity, RequestContext
from api.errors import ApiError
from config.settings import Settings, SettingsError

Authenticate = Callable[[str | None], Identity]
"""From the URL's project (None without one) to who asks; raises ApiError."""

View = TypeVar("View", bound=Callable)


def public(view: View) -> View:
    """Mark a view that answers without authentication."""
    view.is_public = True  # type: ignore[attr-defined]  # a function takes any attribute
    return view


def is_public() -> bool:
    """Whether the view of the request being served asks nobody who they are."""
    view = current_app.view_functions.get(request.endpoint or "")
    return view is not None and getattr(view, "is_public", False)


def install(app: Flask, settings: Settings) -> None:
    """Authenticate every request of `app`."""
    authenticate = _chosen(settings)

    @app.before_request
    def _authenticate() -> None:
        if not is_public():
            g.context = _context(authenticate(g.url_project))


def _chosen(settings: Settings) -> Authenticate:
    if settings.api.auth == "http_basic":
        if settings.api.password_file is None:
            raise SettingsError("api.password_file is empty with api.auth = 'http_basic'")
        return BasicAuth(settings.api.password_file)
    if settings.api.auth == "keystone":
        # keystonemiddleware takes its time and some memory: only who uses it imports it
        from api.auth_keystone import KeystoneAuth

        return KeystoneAuth(settings.keystone)
    return noauth


def _context(who: Identity) -> RequestContext:
    url_project = g.url_project
    if not _plausible(who.user_id) or not _plausible(who.project_id or "none"):
        raise ApiError(400, "A user's and a project's id are 1 to 255 printable characters.")
    if url_project is not None and url_project != who.project_id:
        raise ApiError(400, "Malformed request url")
    rules = policy.in_force()
    rules.refresh()
    credentials = who.credentials()
    is_admin = rules.is_admin(credentials) if who.is_admin is None else who.is_admin
    return RequestContext(
        request_id=g.request_id,
        project_id=who.project_id,
        user_id=who.user_id,
        is_admin=is_admin,
        microversion=g.microversion,
        global_request_id=g.global_request_id,
        credentials={**credentials, "is_admin": is_admin},
    )


def _plausible(name: str) -> bool:
    return 0 < len(name) <= 255 and name.isprintable()


def noauth(url_project: str | None) -> Identity:
    """Everybody is an administrator, as in Cinder; the token `user:project` says who and where.

    A token that names no project, such as the `notused` of keystoneauth's plugin `none`, leaves
    that to the URL; where neither names one, the user's name is the project's.
    """
    user, _, project = request.headers.get("X-Auth-Token", "").partition(":")
    user = user or "admin"
    roles = frozenset({"admin", "member", "reader"})
    return Identity(user, project or url_project or user, roles, is_admin=True)
