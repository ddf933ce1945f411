"""Who may do what: oslo.policy with Cinder's rule names, so an operator's policy.yaml works."""

from typing import Any

from flask import Flask, current_app
from oslo_config import cfg
from oslo_policy import opts
from oslo_policy.policy import Enforcer

from api.context import current
from api.errors import ApiError
from api.policies import rules
from config.settings import Settings

EXTENSION = "breezeblock.policy"


def install(app: Flask, settings: Settings) -> None:
    """Make the enforcer of `app`, with the defaults and the operator's file over them."""
    app.extensions[EXTENSION] = make_enforcer(settings)


def make_enforcer(settings: Settings) -> Enforcer:
    """An enforcer with the default rules and, where `api.policy_file` says one, that file's."""
    conf = cfg.ConfigOpts()
    conf([], default_config_files=[], default_config_dirs=[])
    opts.set_defaults(conf, policy_file=str(settings.api.policy_file or "policy.yaml"))
    enforcer = Enforcer(conf, use_conf=settings.api.policy_file is not None)
    enforcer.register_defaults(rules())
    return enforcer


def authorize(rule: str, project_id: str | None = None) -> None:
    """Raise ApiError (403) unless the request may do `rule` to something of `project_id`.

    Without one it is the request's own project. An object of another project that the request may
    not see is a 404 and is refused where it is looked up, before its rule is asked.
    """
    if not allowed(rule, project_id):
        raise ApiError(403, f"Policy doesn't allow {rule} to be performed.")


def allowed(rule: str, project_id: str | None = None) -> bool:
    """Whether the request may do `rule`; for what is shown to some and not to others."""
    who = current()
    credentials: dict[str, Any] = {
        "user_id": who.user_id,
        "project_id": who.project_id,
        "roles": sorted(who.roles),
        "is_admin": who.is_admin,
    }
    target = {"project_id": project_id or who.project_id, "user_id": who.user_id}
    enforcer: Enforcer = current_app.extensions[EXTENSION]
    return bool(enforcer.authorize(rule, target, credentials))
