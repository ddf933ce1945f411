"""A snapshot's metadata as a resource of its own, and its keys as resources below it."""

from flask import Response, jsonify

from api import metadata
from api.blueprint import Blueprint
from api.metadata import Pairs
from api.schemas.volumes import Metadata, MetadataItem
from api.snapshots import found
from db.models import Snapshot

blp = Blueprint("snapshot_metadata", __name__, description="Metadata of snapshots")

UPDATE = "volume:update_snapshot_metadata"


@blp.route("/snapshots/<snapshot_id>/metadata")
@blp.alt_response(200, schema=Metadata)
def show_metadata(snapshot_id: str) -> Response:
    """Show all metadata; from 3.15 on with an ETag."""
    return metadata.answer(found(snapshot_id, "volume:get_snapshot_metadata").meta)


@blp.route("/snapshots/<snapshot_id>/metadata", methods=["POST"])
@blp.arguments(Metadata)
@blp.alt_response(200, schema=Metadata)
def add_metadata(body: dict[str, Pairs], snapshot_id: str) -> Response:
    """Add pairs, in place of those with the same keys."""
    found(snapshot_id, UPDATE)
    added = metadata.change(Snapshot, snapshot_id, lambda pairs: pairs | body["metadata"])
    return metadata.answer(added)


@blp.route("/snapshots/<snapshot_id>/metadata", methods=["PUT"])
@blp.arguments(Metadata)
@blp.alt_response(200, schema=Metadata)
def replace_metadata(body: dict[str, Pairs], snapshot_id: str) -> Response:
    """Replace all metadata; from 3.15 on only where an If-Match still holds."""
    found(snapshot_id, UPDATE)
    return metadata.answer(metadata.change(Snapshot, snapshot_id, lambda _pairs: body["metadata"]))


@blp.route("/snapshots/<snapshot_id>/metadata/<key>")
@blp.alt_response(200, schema=MetadataItem)
def show_metadata_item(snapshot_id: str, key: str) -> Response:
    """Show one pair."""
    pairs = found(snapshot_id, "volume:get_snapshot_metadata").meta
    return metadata.item(Snapshot, snapshot_id, pairs, key)


@blp.route("/snapshots/<snapshot_id>/metadata/<key>", methods=["PUT"])
@blp.arguments(MetadataItem)
@blp.alt_response(200, schema=MetadataItem)
def set_metadata_item(body: dict[str, Pairs], snapshot_id: str, key: str) -> Response:
    """Set one pair."""
    metadata.refuse_other_keys(body["meta"], key)
    found(snapshot_id, UPDATE)
    metadata.change(Snapshot, snapshot_id, lambda pairs: pairs | body["meta"])
    return jsonify(body)


@blp.route("/snapshots/<snapshot_id>/metadata/<key>", methods=["DELETE"])
@blp.alt_response(200, description="OK")
def delete_metadata_item(snapshot_id: str, key: str) -> Response:
    """Remove one pair."""
    found(snapshot_id, "volume:delete_snapshot_metadata")
    metadata.remove(Snapshot, snapshot_id, key)
    return Response(status=200)
