"""Links to resources, as the v3 API writes them, and times."""

from datetime import datetime
from urllib.parse import urlencode

from flask import request

from api.context import current, settings


def base_url() -> str:
    """Where clients reach this API: `api.public_url`, else the address that they used."""
    return (settings().api.public_url or request.root_url).rstrip("/")


def collection_url(collection: str) -> str:
    """The URL of a collection, such as `volumes`, in the project of the request."""
    return f"{base_url()}/v3/{current().project_id}/{collection}"


def of(collection: str, identifier: str) -> list[dict[str, str]]:
    """The `links` of one resource."""
    base, project = base_url(), current().project_id
    return [
        {"rel": "self", "href": f"{base}/v3/{project}/{collection}/{identifier}"},
        {"rel": "bookmark", "href": f"{base}/{project}/{collection}/{identifier}"},
    ]


def next_page(path: str, marker: str) -> list[dict[str, str]]:
    """The link to what follows `marker`: the same query from there on."""
    query = {**request.args.to_dict(), "marker": marker}
    query.pop("offset", None)  # counted from the marker it would skip rows again
    return [{"rel": "next", "href": f"{collection_url(path)}?{urlencode(query)}"}]


def time_text(moment: datetime | None) -> str | None:
    """A time of the database (naive UTC) as the API writes it: with microseconds and no zone."""
    return None if moment is None else moment.isoformat(timespec="microseconds")
