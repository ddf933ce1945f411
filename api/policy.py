"""Who may do what: oslo.policy with Cinder's rule names, so an operator's policy.yaml works."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import structlog
from flask import Flask, current_app
from oslo_config import cfg
from oslo_policy.policy import Enforcer, Rules

from api import policy_file
from api.context import current
from api.errors import ApiError
from config.settings import Settings, SettingsError

EXTENSION = "breezeblock.policy"

log = structlog.get_logger(__name__)


class Policy:
    """The rules in force, read again when the operator's file has changed.

    A changed file is taken whole or not at all: one that is wrong or has gone leaves the rules as
    they were, and is logged once. Raises SettingsError for one that is wrong from the start.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._version = _version(file)
        self._enforcer = _enforcer(file)

    def refresh(self) -> None:
        """Take the file as it is now; once for a request, so that all of it meets one policy."""
        version = _version(self._file)
        if version == self._version:
            return
        self._version = version
        try:
            self._enforcer = _enforcer(self._file)
        except SettingsError as error:
            log.error("the policy stays as it was", error=str(error))
        else:
            log.info("policy read again", file=str(self._file))

    def allows(self, rule: str, target: Mapping[str, Any], credentials: dict[str, Any]) -> bool:
        """Whether `rule` lets `credentials` act on `target`; KeyError: there is no such rule."""
        enforcer = self._enforcer
        if rule not in enforcer.rules:
            raise KeyError(rule)
        return bool(enforcer.enforce(rule, target, credentials))

    def is_admin(self, credentials: dict[str, Any]) -> bool:
        """Whether those credentials are an administrator's, by the rule `context_is_admin`."""
        return self.allows("context_is_admin", credentials, credentials)


def _version(file: Path | None) -> tuple[int, int] | None:
    try:
        status = file.stat() if file is not None else None
    except OSError:
        return None
    return None if status is None else (status.st_mtime_ns, status.st_size)


def _enforcer(file: Path | None) -> Enforcer:
    """oslo.policy's, which looks for no file itself: it would take half of one that is written."""
    conf = cfg.ConfigOpts()
    conf([], default_config_files=[], default_config_dirs=[])
    enforcer = Enforcer(conf, use_conf=False)
    given = policy_file.read(file) if file is not None else {}
    enforcer.set_rules(Rules.from_dict(policy_file.effective(given)))
    return enforcer


def install(app: Flask, settings: Settings) -> None:
    """Read the policy of `app`. Raises SettingsError for a file that is wrong."""
    app.extensions[EXTENSION] = Policy(settings.api.policy_file)


def in_force() -> Policy:
    """The policy of the application that serves this request."""
    policy: Policy = current_app.extensions[EXTENSION]
    return policy


def authorize(rule: str, project_id: str | None = None) -> None:
    """Raise ApiError (403) unless the request may do `rule` to something of `project_id`.

    Without one it is the request's own project. An object of another project that the request may
    not see is a 404 and is refused where it is looked up, before its rule is asked.
    """
    if not allowed(rule, project_id):
        raise ApiError(403, f"Policy doesn't allow {rule} to be performed.")


def allowed(rule: str, project_id: str | None = None) -> bool:
    """Whether the request may do `rule`; for what is shown to some and not to others.

    An answer is kept until the request ends: a list asks for each of its rows.
    """
    who = current()
    project = who.project_id if project_id is None else project_id
    answer = who.answers.get((rule, project))
    if answer is None:
        target = {"project_id": project, "user_id": who.user_id}
        answer = in_force().allows(rule, target, dict(who.credentials))
        who.answers[rule, project] = answer
    return answer
