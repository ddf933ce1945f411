"""Which volumes a list shows: the query parameters that are filters, as conditions."""

import ast
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from flask import request
from sqlalchemy import ColumnElement, and_, false, func, or_, true

from api import paging
from api.context import current
from api.errors import ApiError
from api.microversion import at_least
from api.query import flag, parse_flag
from api.schemas.fields import MAX_SIZE, is_key
from db.models import Volume, VolumeType

SORTABLE = {
    "id": Volume.id,
    "name": Volume.name,
    "display_name": Volume.name,
    "status": Volume.status,
    "size": Volume.size,
    "availability_zone": Volume.availability_zone,
    "bootable": Volume.bootable,
    "created_at": Volume.created_at,
    "updated_at": Volume.updated_at,
    "host": Volume.host,
    "project_id": Volume.project_id,
    "user_id": Volume.user_id,
    "volume_type_id": Volume.volume_type_id,
}

NOT_FILTERS = paging.PARAMETERS | {"all_tenants", "with_count", "glance_metadata"}

STRICT_SINCE = 31
"""From 3.31 on an unknown filter is refused; before it is ignored."""

_COMPARISONS: dict[str, Callable[[Any, datetime], ColumnElement[bool]]] = {
    "gt": lambda column, value: column > value,
    "gte": lambda column, value: column >= value,
    "lt": lambda column, value: column < value,
    "lte": lambda column, value: column <= value,
    "eq": lambda column, value: column == value,
    "neq": lambda column, value: column != value,
}


def conditions() -> list[ColumnElement[bool]]:
    """Whose volumes, and which of them; raises ApiError (400)."""
    everybody = flag("all_tenants") and current().is_admin
    result = [] if everybody else [Volume.project_id == current().project_id]
    unknown = []
    for name, value in request.args.items():
        if name in NOT_FILTERS:
            continue
        make = FILTERS.get(name) or (ADMIN_FILTERS.get(name) if current().is_admin else None)
        if make is not None:
            result.append(make(value))
        else:
            unknown.append(name)
    if unknown and at_least(STRICT_SINCE):
        raise ApiError(400, f"Invalid filters {', '.join(unknown)} are found in query options.")
    return result


def _metadata(value: str) -> ColumnElement[bool]:
    """Pairs in JSON, or as Python writes a dictionary, which is what clients send."""
    try:
        wanted = json.loads(value)
    except ValueError:
        wanted = _python_literal(value)
    if not isinstance(wanted, dict):
        raise ApiError(400, "The filter metadata must be an object of keys and values.")
    tests: list[ColumnElement[bool]] = [
        Volume.meta[key].as_string() == str(wanted[key]) if is_key(str(key)) else false()
        for key in wanted
    ]
    return and_(true(), *tests)


def _python_literal(value: str) -> Any:
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None


def _bootable(value: str) -> ColumnElement[bool]:
    wanted = parse_flag(value)
    if wanted is None:
        raise ApiError(400, f"Invalid value {value!r} for the filter bootable: true or false.")
    return Volume.bootable.is_(wanted)


def _size(value: str) -> ColumnElement[bool]:
    if not (value.isascii() and value.isdigit() and len(value) < 20 and int(value) <= MAX_SIZE):
        raise ApiError(400, f"Invalid value {value!r} for the filter size: an integer of GiB.")
    return Volume.size == int(value)


def _time(column: Any) -> Callable[[str], ColumnElement[bool]]:
    def make(value: str) -> ColumnElement[bool]:
        return and_(true(), *(_moment(column, part) for part in value.split(",")))

    return make


def _moment(column: Any, text: str) -> ColumnElement[bool]:
    operator, _, moment = text.partition(":")
    if operator not in _COMPARISONS:
        operator, moment = "eq", text
    try:
        # a '+' of a zone that was not escaped arrives as a blank
        when = datetime.fromisoformat(moment.strip().replace(" ", "+"))
    except ValueError as error:
        raise ApiError(
            400,
            f"Invalid time {text!r}: it is an ISO 8601 time, after one of "
            f"{', '.join(_COMPARISONS)} and a colon.",
        ) from error
    if when.tzinfo is not None:
        when = when.astimezone(UTC).replace(tzinfo=None)
    return _COMPARISONS[operator](column, when)


def _like(column: Any) -> Callable[[str], ColumnElement[bool]]:
    def make(value: str) -> ColumnElement[bool]:
        if not at_least(34):
            return true()
        return func.lower(column).contains(value.lower(), autoescape=True)

    return make


def _constant(of_every_volume: str) -> Callable[[str], ColumnElement[bool]]:
    """A filter on what every volume has in common until its feature exists."""
    return lambda value: true() if value.lower() == of_every_volume else false()


def _host(value: str) -> ColumnElement[bool]:
    """A host, a backend or a pool."""
    return or_(
        Volume.host == value,
        Volume.host.startswith(f"{value}@", autoescape=True),
        Volume.host.startswith(f"{value}#", autoescape=True),
    )


FILTERS: dict[str, Callable[[str], ColumnElement[bool]]] = {
    "name": lambda value: Volume.name == value,
    "display_name": lambda value: Volume.name == value,
    "name~": _like(Volume.name),
    "description~": _like(Volume.description),
    "status": lambda value: Volume.status == value,
    "metadata": _metadata,
    "bootable": _bootable,
    "availability_zone": lambda value: Volume.availability_zone == value,
    "size": _size,
    "volume_type": lambda value: or_(VolumeType.name == value, VolumeType.id == value),
    "volume_type_id": lambda value: Volume.volume_type_id == value,
    "created_at": _time(Volume.created_at),
    "updated_at": _time(Volume.updated_at),
    "migration_status": _constant("none"),
    "attach_status": _constant("detached"),
    "group_id": _constant("none"),
    "consistencygroup_id": _constant("none"),
}

ADMIN_FILTERS: dict[str, Callable[[str], ColumnElement[bool]]] = {
    "id": lambda value: Volume.id == value,
    "host": _host,
    "user_id": lambda value: Volume.user_id == value,
    "project_id": lambda value: Volume.project_id == value,
    "tenant_id": lambda value: Volume.project_id == value,
}
