"""Query parameters that are filters, as conditions: what a list of any resource is narrowed by."""

import ast
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeAlias

from flask import request
from sqlalchemy import ColumnElement, and_, false, func, true

from api import paging
from api.context import current
from api.errors import ApiError
from api.microversion import at_least
from api.query import flag, parse_flag
from api.schemas.fields import is_key

Filter: TypeAlias = Callable[[str], ColumnElement[bool]]
"""From a parameter's value to its condition; raises ApiError (400) for one that it cannot be."""

NOT_FILTERS = paging.PARAMETERS | {"all_tenants", "with_count"}

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


def conditions(
    project: Any,
    filters: Mapping[str, Filter],
    admin_filters: Mapping[str, Filter] | None = None,
    besides: frozenset[str] = frozenset(),
    *,
    admin_sees_all: bool = False,
) -> list[ColumnElement[bool]]:
    """Whose rows, by the column `project`, and which of them; raises ApiError (400).

    An administrator sees every project's with `all_tenants`, or in any case with `admin_sees_all`,
    and may use `admin_filters` as well.
    `besides` are parameters of this list that are no filters.
    """
    admin = current().is_admin
    everybody = admin and (flag("all_tenants") or admin_sees_all)
    result = [] if everybody else [project == current().project_id]
    usable = {**filters, **((admin_filters or {}) if admin else {})}
    unknown = []
    for name, value in request.args.items():
        if name in usable:
            result.append(usable[name](value))
        elif name not in NOT_FILTERS and name not in besides:
            unknown.append(name)
    if unknown and at_least(STRICT_SINCE):
        raise ApiError(400, f"Invalid filters {', '.join(unknown)} are found in query options.")
    return result


def equal_to(columns: Mapping[str, Any]) -> list[ColumnElement[bool]]:
    """For lists of Breezeblock's own: each column has the value of the parameter of its name."""
    return [
        column == request.args[name] for name, column in columns.items() if name in request.args
    ]


def equal(column: Any) -> Filter:
    """The column has this value."""
    return lambda value: column == value


def like(column: Any) -> Filter:
    """The column contains this text, whatever the case; from 3.34 on, before it does nothing."""

    def make(value: str) -> ColumnElement[bool]:
        if not at_least(34):
            return true()
        return func.lower(column).contains(value.lower(), autoescape=True)

    return make


def boolean(column: Any, name: str) -> Filter:
    """The column is true or false."""

    def make(value: str) -> ColumnElement[bool]:
        wanted = parse_flag(value)
        if wanted is None:
            raise ApiError(400, f"Invalid value {value!r} for the filter {name}: true or false.")
        return and_(column.is_(wanted))

    return make


def metadata(column: Any) -> Filter:
    """The column, an object, has these pairs: in JSON, or as Python writes a dictionary."""

    def make(value: str) -> ColumnElement[bool]:
        try:
            wanted = json.loads(value)
        except ValueError:
            wanted = _python_literal(value)  # what cinderclient sends
        if not isinstance(wanted, dict):
            raise ApiError(400, "The filter metadata must be an object of keys and values.")
        tests: list[ColumnElement[bool]] = [
            column[key].as_string() == str(wanted[key]) if is_key(str(key)) else false()
            for key in wanted
        ]
        return and_(true(), *tests)

    return make


def _python_literal(value: str) -> Any:
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None


def time(column: Any) -> Filter:
    """The column compares so with these times: `gt:2026-01-01T00:00:00,lt:…`.

    Before 3.60 it can only be equal to one.
    """

    def make(value: str) -> ColumnElement[bool]:
        return and_(true(), *(_moment(column, part) for part in value.split(",")))

    return make


def _moment(column: Any, text: str) -> ColumnElement[bool]:
    operator, _, moment = text.partition(":")
    if operator not in _COMPARISONS or not at_least(60):
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
