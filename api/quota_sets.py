"""Quota of projects and of quota classes: /os-quota-sets and /os-quota-class-sets."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from flask import Response
from sqlalchemy.orm import Session

from api.blueprint import Blueprint, shown
from api.context import current, settings
from api.errors import ApiError
from api.policy import authorize
from api.query import flag
from api.schemas.quota_sets import (
    QuotaClassSetAnswer,
    QuotaClassSetBody,
    QuotaSetAnswer,
    QuotaSetBody,
)
from db import quota, quota_limits
from db.quota import UNLIMITED, Usage
from db.transactions import reading, writing

blp = Blueprint("quota_sets", __name__, description="Limits and usage of projects")

MAX_LIMIT = 2**31 - 1
NOT_LIMITS = frozenset({"id", "tenant_id", "class_name"})
"""Keys that clients send along and that are no limit, as Cinder lets them."""


def defaults() -> dict[str, int]:
    """The configured default of each resource: GiB for sizes, -1 for no limit."""
    return quota.defaults(settings())


@blp.get("/os-quota-sets/<target>")
@blp.response(200, QuotaSetAnswer)
def show_quota(target: str) -> dict[str, Any]:
    """Show a project's limits; with `usage=true` what it uses and reserves too."""
    authorize("volume_extension:quotas:show", target)
    with_usage = flag("usage")
    with reading() as tx:
        found = _project(tx, target)
    if with_usage:
        return {"quota_set": {**{name: asdict(one) for name, one in found.items()}, "id": target}}
    return {"quota_set": {**_limits(found), "id": target}}


@blp.get("/os-quota-sets/<target>/defaults")
@blp.response(200, QuotaSetAnswer)
def show_defaults(target: str) -> dict[str, Any]:
    """Show the limits of a project that has none of its own."""
    authorize("volume_extension:quotas:show", target)
    with reading() as tx:
        limits = quota_limits.default_limits(tx, _names(tx, target), defaults())
    return {"quota_set": {**limits, "id": target}}


@blp.put("/os-quota-sets/<target>")
@blp.arguments(QuotaSetBody)
@blp.response(200, QuotaSetAnswer)
def update_quota(body: dict[str, Any], target: str) -> dict[str, Any]:
    """Give a project limits of its own; `skip_validation=false` refuses one below its usage."""
    authorize("volume_extension:quotas:update")
    skip_validation = flag("skip_validation", True)
    with writing() as tx:
        names = quota_limits.stored_names(tx, defaults())
        wanted = checked_limits(body["quota_set"], names)
        if not skip_validation:
            _refuse_below_usage(wanted, _project(tx, target))
        quota_limits.set_project_limits(
            tx, target, {names[name]: limit for name, limit in wanted.items()}
        )
        return {"quota_set": _limits(_project(tx, target))}


@blp.delete("/os-quota-sets/<target>")
@blp.response(200)
def delete_quota(target: str) -> Response:
    """Take a project's own limits away, so that the defaults are in force again."""
    authorize("volume_extension:quotas:delete")
    with writing() as tx:
        quota_limits.drop_project_limits(tx, target)
    return Response(status=200)


@blp.get("/os-quota-class-sets/<class_name>")
@blp.response(200, QuotaClassSetAnswer)
def show_class(class_name: str) -> dict[str, Any]:
    """Show the limits of a class; the class `default` is every project's default."""
    authorize("volume_extension:quota_classes:get")
    with reading() as tx:
        names = quota_limits.stored_names(tx, defaults())
        limits = quota_limits.class_limits(tx, class_name, names, defaults())
    return {"quota_class_set": {**limits, "id": class_name}}


@blp.put("/os-quota-class-sets/<class_name>")
@blp.arguments(QuotaClassSetBody)
@blp.response(200, QuotaClassSetAnswer)
def update_class(body: dict[str, Any], class_name: str) -> dict[str, Any]:
    """Give a class limits."""
    authorize("volume_extension:quota_classes:update")
    with writing() as tx:
        names = quota_limits.stored_names(tx, defaults())
        wanted = checked_limits(body["quota_class_set"], names)
        quota_limits.set_class_limits(
            tx, class_name, {names[name]: limit for name, limit in wanted.items()}
        )
        return {"quota_class_set": quota_limits.class_limits(tx, class_name, names, defaults())}


def checked_limits(given: Mapping[str, Any], known: Mapping[str, str]) -> dict[str, int]:
    """The limits in a body; raises ApiError (400) for an unknown name or what is no limit."""
    bad = sorted(shown(key) for key in given if key not in known and key not in NOT_LIMITS)
    if bad:
        raise ApiError(400, f"Bad key(s) in quota set: {', '.join(bad)}")
    return {key: _limit(key, value) for key, value in given.items() if key in known}


def _limit(key: str, value: Any) -> int:
    limit = None
    if isinstance(value, int) and not isinstance(value, bool):
        limit = value
    elif isinstance(value, str) and value.isascii() and value.removeprefix("-").isdigit():
        limit = int(value) if len(value) <= len(str(MAX_LIMIT)) else MAX_LIMIT + 1
    if limit is None or not UNLIMITED <= limit <= MAX_LIMIT:
        raise ApiError(
            400,
            f"Invalid input for field/attribute {shown(key)}. Value: {shown(value)}. "
            f"It must be an integer from {UNLIMITED} (no limit) to {MAX_LIMIT}.",
        )
    return limit


def _refuse_below_usage(wanted: Mapping[str, int], usage: Mapping[str, Usage]) -> None:
    for name, limit in wanted.items():
        taken = usage[name].in_use + usage[name].reserved
        if UNLIMITED < limit < taken:
            raise ApiError(
                400,
                f"Quota {name} limit must be equal or greater than existing resources. "
                f"Asked: {limit}, in use and reserved: {taken}.",
            )


def _project(tx: Session, project_id: str) -> dict[str, Usage]:
    return quota_limits.project_usage(tx, project_id, _names(tx, project_id), defaults())


def _names(tx: Session, project_id: str) -> dict[str, str]:
    """What there are limits for; users see those of the types that they may use."""
    only_of = None if current().is_admin else project_id
    return quota_limits.stored_names(tx, defaults(), only_of)


def _limits(usage: Mapping[str, Usage]) -> dict[str, int]:
    return {name: one.limit for name, one in usage.items()}
