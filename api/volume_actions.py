"""What is done to a volume by POST …/action."""

from collections.abc import Callable
from typing import Any

from flask import Response

from api import admission
from api.blueprint import Blueprint
from api.policy import authorize
from api.schemas.volumes import VolumeAction
from api.volumes import change, find, found
from db.overrides import reset_volume_status
from db.transactions import writing

blp = Blueprint("volume_actions", __name__, description="Actions on volumes")

ACCEPTED = 202


@blp.route("/volumes/<volume_id>/action", methods=["POST"])
@blp.arguments(VolumeAction)
@blp.alt_response(ACCEPTED, description="Accepted")
def act(body: dict[str, Any], volume_id: str) -> Response:
    """Do the one action that the body names."""
    find(volume_id)
    ((name, arguments),) = body.items()
    return Response(status=ACTIONS[name](volume_id, arguments))


def _extend(volume_id: str, arguments: dict[str, Any]) -> int:
    found(volume_id, "volume:extend")
    admission.submit("volume.extend", volume_id, {"new_size_gib": arguments["new_size"]})
    return ACCEPTED


def _force_delete(volume_id: str, _arguments: Any) -> int:
    authorize("volume_extension:volume_admin_actions:force_delete")
    admission.submit("volume.delete", volume_id, {"force": True, "cascade": False})
    return ACCEPTED


def _reset_status(volume_id: str, arguments: dict[str, Any]) -> int:
    authorize("volume_extension:volume_admin_actions:reset_status")
    if "status" in arguments:
        with writing() as tx:
            reset_volume_status(tx, volume_id, arguments["status"])
    return ACCEPTED


def _set_bootable(volume_id: str, arguments: dict[str, Any]) -> int:
    found(volume_id, "volume:update")
    change(volume_id, bootable=arguments["bootable"])
    return 200


ACTIONS: dict[str, Callable[[str, Any], int]] = {
    "extend": _extend,
    "force_delete": _force_delete,
    "reset_status": _reset_status,
    "set_bootable": _set_bootable,
}
"""By the field's name in the schema."""
