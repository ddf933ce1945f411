"""A volume's metadata as a resource of its own, and its keys as resources below it."""

from collections.abc import Callable

from flask import Response, jsonify

from api import metadata
from api.blueprint import Blueprint
from api.metadata import Pairs
from api.schemas.volumes import Metadata, MetadataItem
from api.volumes import found, refuse_in_maintenance
from db.models import Volume

blp = Blueprint("volume_metadata", __name__, description="Metadata of volumes")


@blp.route("/volumes/<volume_id>/metadata")
@blp.alt_response(200, schema=Metadata)
def show_metadata(volume_id: str) -> Response:
    """Show all metadata; from 3.15 on with an ETag."""
    return metadata.answer(found(volume_id, "volume:get_volume_metadata").meta)


@blp.route("/volumes/<volume_id>/metadata", methods=["POST"])
@blp.arguments(Metadata)
@blp.alt_response(200, schema=Metadata)
def add_metadata(body: dict[str, Pairs], volume_id: str) -> Response:
    """Add pairs, in place of those with the same keys."""
    return metadata.answer(_change(volume_id, "create", lambda pairs: pairs | body["metadata"]))


@blp.route("/volumes/<volume_id>/metadata", methods=["PUT"])
@blp.arguments(Metadata)
@blp.alt_response(200, schema=Metadata)
def replace_metadata(body: dict[str, Pairs], volume_id: str) -> Response:
    """Replace all metadata; from 3.15 on only where an If-Match still holds."""
    return metadata.answer(_change(volume_id, "update", lambda _pairs: body["metadata"]))


@blp.route("/volumes/<volume_id>/metadata/<key>")
@blp.alt_response(200, schema=MetadataItem)
def show_metadata_item(volume_id: str, key: str) -> Response:
    """Show one pair."""
    pairs = found(volume_id, "volume:get_volume_metadata").meta
    return metadata.item(Volume, volume_id, pairs, key)


@blp.route("/volumes/<volume_id>/metadata/<key>", methods=["PUT"])
@blp.arguments(MetadataItem)
@blp.alt_response(200, schema=MetadataItem)
def set_metadata_item(body: dict[str, Pairs], volume_id: str, key: str) -> Response:
    """Set one pair."""
    metadata.refuse_other_keys(body["meta"], key)
    _change(volume_id, "update", lambda pairs: pairs | body["meta"])
    return jsonify(body)


@blp.route("/volumes/<volume_id>/metadata/<key>", methods=["DELETE"])
@blp.alt_response(200, description="OK")
def delete_metadata_item(volume_id: str, key: str) -> Response:
    """Remove one pair."""
    _refuse_change(volume_id, "delete")
    metadata.remove(Volume, volume_id, key)
    return Response(status=200)


def _change(volume_id: str, verb: str, make: Callable[[Pairs], Pairs]) -> Pairs:
    _refuse_change(volume_id, verb)
    return metadata.change(Volume, volume_id, make)


def _refuse_change(volume_id: str, verb: str) -> None:
    refuse_in_maintenance(found(volume_id, f"volume:{verb}_volume_metadata"), "metadata")
