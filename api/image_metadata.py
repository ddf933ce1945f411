"""What a volume keeps of its image's metadata: actions of /volumes/{volume_id}/action."""

from typing import Any

from flask import Response

from api import metadata
from api.errors import ApiError
from api.metadata import Pairs
from api.volumes import found, refuse_in_maintenance
from db.models import Volume

POLICY = "volume_extension:volume_image_metadata"


def show(volume_id: str, _arguments: Any) -> Response:
    """Show all of it; from 3.15 on with an ETag."""
    return metadata.answer(found(volume_id, f"{POLICY}:show").image_meta)


def set_pairs(volume_id: str, arguments: dict[str, Any]) -> Response:
    """Add pairs, in place of those with the same keys; from 3.15 on If-Match is checked."""
    refuse_in_maintenance(found(volume_id, f"{POLICY}:set"), "image metadata")
    added: Pairs = arguments["metadata"]
    return metadata.answer(
        metadata.change(Volume, volume_id, lambda pairs: pairs | added, of_image=True)
    )


def unset(volume_id: str, arguments: dict[str, Any]) -> int:
    """Remove one pair."""
    refuse_in_maintenance(found(volume_id, f"{POLICY}:remove"), "image metadata")
    key = arguments["key"]

    def without(pairs: Pairs) -> Pairs:
        if key not in pairs:
            raise ApiError(404, f"Volume {volume_id} has no image metadata with key {key}.")
        return {name: value for name, value in pairs.items() if name != key}

    metadata.change(Volume, volume_id, without, of_image=True)
    return 200
