"""Pages of a list: limit, marker, offset, sort keys, and the keyset condition that they make."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from flask import request
from sqlalchemy import ColumnElement, Row, Select, and_, case, literal, or_, tuple_

from api.context import settings
from api.errors import ApiError

PARAMETERS = frozenset({"limit", "marker", "offset", "sort", "sort_key", "sort_dir"})
"""The query parameters that are read here, and are no filters."""

DOCUMENTED = [
    {"in": "query", "name": name, "schema": {"type": kind}, "description": text}
    for name, kind, text in (
        ("limit", "integer", "At most so many, and never more than the server's own limit."),
        ("marker", "string", "Begin after the item with this id."),
        ("offset", "integer", "Skip so many."),
        ("sort", "string", "Keys, apart by commas, each perhaps with :asc or :desc."),
    )
]
"""The same for the OpenAPI document: `@blp.doc(parameters=paging.DOCUMENTED)`."""

MAX_OFFSET = 2**31 - 1


AnySelect: TypeAlias = Select[*tuple[Any, ...]]
AnyRow: TypeAlias = Row[*tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Page:
    """What a list request asks for; `sort` is pairs of key and whether it descends."""

    limit: int
    marker: str | None
    offset: int
    sort: tuple[tuple[str, bool], ...]

    def is_full(self, found: int) -> bool:
        """Whether a page with `found` rows has (perhaps) another after it."""
        return 0 < self.limit <= found


def requested(sortable: Mapping[str, Any], default: str = "created_at") -> Page:
    """The page that the request being served asks for; raises ApiError (400).

    `sortable` maps the keys by which clients may sort to columns; `default` sorts descending.
    """
    return Page(
        limit=min(_whole("limit", settings().api.max_limit), settings().api.max_limit),
        marker=request.args.get("marker") or None,
        offset=_whole("offset", 0),
        sort=_sort(sortable, default),
    )


def _whole(name: str, default: int) -> int:
    given = request.args.get(name)
    if given is None:
        return default
    if not (given.isascii() and given.isdigit() and len(given) <= 10 and int(given) <= MAX_OFFSET):
        raise ApiError(
            400, f"{name} param must be an integer from 0 to {MAX_OFFSET}, not {given!r}"
        )
    return int(given)


def _sort(sortable: Mapping[str, Any], default: str) -> tuple[tuple[str, bool], ...]:
    args = request.args
    if "sort" in args and ("sort_key" in args or "sort_dir" in args):
        raise ApiError(400, "Give either 'sort', or 'sort_key' and 'sort_dir', not both.")
    if "sort" in args:
        pairs = [part.partition(":")[::2] for part in args["sort"].split(",")]
    else:
        pairs = [(args.get("sort_key", default), args.get("sort_dir", ""))]
    result = []
    for key, direction in ((key.strip(), direction.strip()) for key, direction in pairs):
        if key not in sortable:
            raise ApiError(
                400, f"Invalid sort key {key!r}: it must be one of {', '.join(sorted(sortable))}."
            )
        if direction not in ("", "asc", "desc"):
            raise ApiError(400, f"Invalid sort direction {direction!r}: it must be asc or desc.")
        result.append((key, direction != "asc"))
    return tuple(result)


def paged(
    query: AnySelect,
    page: Page,
    sortable: Mapping[str, Any],
    tie_breakers: tuple[str, ...],
    marker_row: Any = None,
) -> AnySelect:
    """`query` in the page's order, from after `marker_row` on, at most a page long.

    `tie_breakers` are the keys that make the order total (the last one unique); they descend as the
    first sort key does. `marker_row` is the object that the marker names, None without a marker.
    """
    keys = list(page.sort)
    keys += [(key, keys[0][1]) for key in tie_breakers if key not in dict(keys)]
    parts: list[tuple[ColumnElement[Any], bool, Any]] = []
    for key, descends in keys:
        column = sortable[key]
        value = None if marker_row is None else getattr(marker_row, column.key)
        if column.property.columns[0].nullable:
            # databases differ in where nulls go, and a null compares with nothing
            parts.append((case((column.is_(None), 0), else_=1), descends, int(value is not None)))
        parts.append((column, descends, value))
    if marker_row is not None:
        query = query.where(_after(parts))
    query = query.order_by(*(part.desc() if desc else part.asc() for part, desc, _ in parts))
    return query.offset(page.offset or None).limit(page.limit)


def _after(parts: list[tuple[ColumnElement[Any], bool, Any]]) -> ColumnElement[bool]:
    known = [part for part in parts if part[2] is not None]
    if len({descends for _, descends, _ in known}) == 1:
        left = tuple_(*(column for column, _, _ in known))  # one range of an index
        right = tuple_(*(value for _, _, value in known))
        return left < right if known[0][1] else left > right
    choices: list[ColumnElement[bool]] = []
    equal: list[ColumnElement[bool]] = []
    for column, descends, value in known:
        bound = literal(value, column.type)  # a plain True has no order for SQLAlchemy
        choices.append(and_(*equal, column < bound if descends else column > bound))
        equal.append(column == value)
    return or_(*choices)
