"""Lists: a page of rows, the link to the next page, and the count of all."""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import func, select

from api import links, paging
from api.paging import AnySelect
from db.transactions import reading

ORDER = ("created_at", "id")
"""What makes every order total; each is a key of every `sortable`."""


def listed(
    query: AnySelect,
    view: Callable[[Any], Any],
    *,
    collection: str,
    sortable: Mapping[str, Any],
    find: Callable[[str], Any],
    path: str | None = None,
    count: bool = False,
) -> dict[str, Any]:
    """The answer of a list: the page of `query` that the request asks for, each row as `view` says.

    `sortable` maps the keys by which clients may sort to columns. `find` looks up the row that the
    marker names, in a transaction of its own, and raises ApiError (404) where there is none. `path`
    is below the project's URL, `collection` unless given. With `count` the answer has the number of
    all rows. Raises ApiError (400) for parameters of paging that are wrong.
    """
    page = paging.requested(sortable)
    marker = find(page.marker) if page.marker else None
    paged = paging.paged(query, page, sortable, ORDER, marker)
    whole_entity = len(query.column_descriptions) == 1
    with reading() as tx:
        rows = tx.scalars(paged).all() if whole_entity else tx.execute(paged).all()
        total = tx.scalar(select(func.count()).select_from(query.subquery())) if count else None
    answer: dict[str, Any] = {collection: [view(row) for row in rows]}
    if count:
        answer["count"] = total
    if page.is_full(len(rows)):
        answer[f"{collection}_links"] = links.next_page(path or collection, rows[-1].id)
    return answer
