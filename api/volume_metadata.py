"""A volume's metadata as a resource of its own, and its keys as resources below it."""

import hashlib
import json
from collections.abc import Callable

from flask import Response, jsonify, request
from sqlalchemy import select

from api.blueprint import Blueprint
from api.errors import ApiError
from api.microversion import at_least
from api.schemas.volumes import Metadata, MetadataItem
from api.volumes import found, refuse_in_maintenance
from db.models import Volume
from db.transactions import writing

blp = Blueprint("volume_metadata", __name__, description="Metadata of volumes")

Pairs = dict[str, str]

ETAG_SINCE = 15


@blp.route("/volumes/<volume_id>/metadata")
@blp.alt_response(200, schema=Metadata)
def show_metadata(volume_id: str) -> Response:
    """Show all metadata; from 3.15 on with an ETag."""
    return _answer(found(volume_id, "volume:get_volume_metadata").meta)


@blp.route("/volumes/<volume_id>/metadata", methods=["POST"])
@blp.arguments(Metadata)
@blp.alt_response(200, schema=Metadata)
def add_metadata(body: dict[str, Pairs], volume_id: str) -> Response:
    """Add pairs, in place of those with the same keys."""
    return _answer(_change(volume_id, "create", lambda pairs: pairs | body["metadata"]))


@blp.route("/volumes/<volume_id>/metadata", methods=["PUT"])
@blp.arguments(Metadata)
@blp.alt_response(200, schema=Metadata)
def replace_metadata(body: dict[str, Pairs], volume_id: str) -> Response:
    """Replace all metadata; from 3.15 on only where an If-Match still holds."""
    return _answer(_change(volume_id, "update", lambda _pairs: body["metadata"]))


@blp.route("/volumes/<volume_id>/metadata/<key>")
@blp.alt_response(200, schema=MetadataItem)
def show_metadata_item(volume_id: str, key: str) -> Response:
    """Show one pair."""
    pairs = found(volume_id, "volume:get_volume_metadata").meta
    if key not in pairs:
        raise _no_key(volume_id, key)
    return jsonify({"meta": {key: pairs[key]}})


@blp.route("/volumes/<volume_id>/metadata/<key>", methods=["PUT"])
@blp.arguments(MetadataItem)
@blp.alt_response(200, schema=MetadataItem)
def set_metadata_item(body: dict[str, Pairs], volume_id: str, key: str) -> Response:
    """Set one pair."""
    if set(body["meta"]) != {key}:
        raise ApiError(400, f"The body's 'meta' must have the one key {key!r} of the URL.")
    _change(volume_id, "update", lambda pairs: pairs | body["meta"])
    return jsonify(body)


@blp.route("/volumes/<volume_id>/metadata/<key>", methods=["DELETE"])
@blp.alt_response(200, description="OK")
def delete_metadata_item(volume_id: str, key: str) -> Response:
    """Remove one pair."""

    def without(pairs: Pairs) -> Pairs:
        if key not in pairs:
            raise _no_key(volume_id, key)
        return {name: value for name, value in pairs.items() if name != key}

    _change(volume_id, "delete", without)
    return Response(status=200)


def _no_key(volume_id: str, key: str) -> ApiError:
    return ApiError(404, f"Volume {volume_id} has no metadata with key {key}.")


def _change(volume_id: str, verb: str, make: Callable[[Pairs], Pairs]) -> Pairs:
    """Rewrite the metadata under a lock of its row, so that no other change is lost."""
    refuse_in_maintenance(found(volume_id, f"volume:{verb}_volume_metadata"), "metadata")
    with writing() as tx:
        volume = tx.scalars(select(Volume).where(Volume.id == volume_id).with_for_update()).first()
        if volume is None:  # it went since it was found
            raise ApiError(404, f"Volume {volume_id} could not be found.")
        _refuse_if_changed(volume.meta)
        volume.meta = make(volume.meta)
        return volume.meta


def _etag(pairs: Pairs) -> str:
    text = json.dumps(pairs, sort_keys=True).encode()
    return hashlib.sha256(text).hexdigest()[:32]


def _refuse_if_changed(pairs: Pairs) -> None:
    if at_least(ETAG_SINCE) and request.if_match and _etag(pairs) not in request.if_match:
        raise ApiError(412, "The metadata was changed meanwhile; read it again.")


def _answer(pairs: Pairs) -> Response:
    response = jsonify({"metadata": pairs})
    if at_least(ETAG_SINCE):
        response.set_etag(_etag(pairs))
    return response
