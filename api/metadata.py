"""Metadata of a resource: how it is answered, and how it is changed without losing a change."""

import hashlib
import json
from collections.abc import Callable
from typing import TypeAlias

from flask import Response, jsonify, request

from api.errors import ApiError
from api.microversion import at_least
from db.models import Snapshot, Volume
from db.transactions import writing
from db.transitions import locked

Pairs: TypeAlias = dict[str, str]

ETAG_SINCE = 15


def answer(pairs: Pairs) -> Response:
    """All pairs; from 3.15 on with an ETag."""
    response = jsonify({"metadata": pairs})
    if at_least(ETAG_SINCE):
        response.set_etag(_etag(pairs))
    return response


def item(model: type[Volume | Snapshot], resource_id: str, pairs: Pairs, key: str) -> Response:
    """One pair; raises ApiError (404) where there is none with that key."""
    _refuse_missing(model, resource_id, pairs, key)
    return jsonify({"meta": {key: pairs[key]}})


def refuse_other_keys(pairs: Pairs, key: str) -> None:
    """Raise ApiError (400) unless a body for one key has that key alone."""
    if set(pairs) != {key}:
        raise ApiError(400, f"The body's 'meta' must have the one key {key!r} of the URL.")


def remove(model: type[Volume | Snapshot], resource_id: str, key: str) -> None:
    """Remove one pair; raises ApiError (404, 412)."""

    def without(pairs: Pairs) -> Pairs:
        _refuse_missing(model, resource_id, pairs, key)
        return {name: value for name, value in pairs.items() if name != key}

    change(model, resource_id, without)


def change(
    model: type[Volume | Snapshot],
    resource_id: str,
    make: Callable[[Pairs], Pairs],
    *,
    of_image: bool = False,
) -> Pairs:
    """Rewrite the pairs (or those of a volume's image) under a lock of their row.

    Raises ApiError: 404, or 412 where they are not those of an If-Match (from 3.15 on).
    """
    column = "image_meta" if of_image else "meta"
    with writing() as tx:
        row: Volume | Snapshot | None = locked(tx, model, resource_id)
        if row is None:  # it went since it was found
            raise ApiError(404, f"{model.__name__} {resource_id} could not be found.")
        before: Pairs = getattr(row, column)
        if at_least(ETAG_SINCE) and request.if_match and _etag(before) not in request.if_match:
            raise ApiError(412, "The metadata was changed meanwhile; read it again.")
        after = make(before)
        setattr(row, column, after)
        return after


def _refuse_missing(
    model: type[Volume | Snapshot], resource_id: str, pairs: Pairs, key: str
) -> None:
    if key not in pairs:
        raise ApiError(404, f"{model.__name__} {resource_id} has no metadata with key {key}.")


def _etag(pairs: Pairs) -> str:
    text = json.dumps(pairs, sort_keys=True).encode()
    return hashlib.sha256(text).hexdigest()[:32]
