"""What is done to a volume by POST …/action."""

from collections.abc import Callable
from typing import Any, NoReturn, TypeAlias

from flask import Response

from api import admission, image_metadata, volume_use
from api.blueprint import Blueprint
from api.context import current
from api.errors import TEXTS, ApiError
from api.microversion import at_least
from api.policy import allowed, authorize
from api.schemas.volume_actions import VolumeAction
from api.volumes import change, find, found, refuse_in_maintenance
from db import volume_use as use
from db.attachments import locked_volume
from db.overrides import reset_volume
from db.transactions import writing
from db.transitions import EXTENDING, IN_USE, InvalidStatus

blp = Blueprint("volume_actions", __name__, description="Actions on volumes")

OK, ACCEPTED = 200, 202

ADMIN_ACTIONS = "volume_extension:volume_admin_actions:"

Action: TypeAlias = Callable[[str, Any], int | Response]
"""From the volume's id and the action's arguments to the answer, or to its status alone."""


@blp.route("/volumes/<volume_id>/action", methods=["POST"])
@blp.arguments(VolumeAction)
@blp.alt_response(ACCEPTED, description="Accepted")
def act(body: dict[str, Any], volume_id: str) -> Response:
    """Do the one action that the body names."""
    find(volume_id)
    ((name, arguments),) = body.items()
    if not at_least(SINCE.get(name, 0)):
        raise ApiError(404, TEXTS[404])
    answer = ACTIONS[name](volume_id, arguments)
    return answer if isinstance(answer, Response) else Response(status=answer)


def _extend(volume_id: str, arguments: dict[str, Any]) -> int:
    """From 3.42 on also a volume that is in use."""
    attached = find(volume_id).status == IN_USE and at_least(42)
    found(volume_id, "volume:extend_attached_volume" if attached else "volume:extend")
    asked = {"new_size_gib": arguments["new_size"], "attached": attached}
    admission.submit("volume.extend", volume_id, asked)
    return ACCEPTED


def _complete_extension(volume_id: str, _arguments: Any) -> NoReturn:
    """No driver that there is leaves the growing of a volume to the host that uses it."""
    row = found(volume_id, f"{ADMIN_ACTIONS}extend_volume_completion")
    if row.status != EXTENDING:
        raise InvalidStatus(volume_id, "extend completion", row.status, frozenset({EXTENDING}))
    raise ApiError(400, f"Invalid volume: volume {volume_id} grows without its host's help.")


def _force_delete(volume_id: str, _arguments: Any) -> int:
    authorize(f"{ADMIN_ACTIONS}force_delete")
    admission.submit("volume.delete", volume_id, {"force": True, "cascade": False})
    return ACCEPTED


def _reset_status(volume_id: str, arguments: dict[str, Any]) -> int:
    authorize(f"{ADMIN_ACTIONS}reset_status")
    with writing() as tx:
        reset_volume(tx, volume_id, current().request_id, **arguments)
    return ACCEPTED


def _set_bootable(volume_id: str, arguments: dict[str, Any]) -> int:
    refuse_in_maintenance(found(volume_id, "volume:update"), "update")
    change(volume_id, bootable=arguments["bootable"])
    return OK


def _set_readonly(volume_id: str, arguments: dict[str, Any]) -> int:
    found(volume_id, "volume:update_readonly_flag")
    with writing() as tx:
        use.set_readonly(locked_volume(tx, volume_id), arguments["readonly"])
    return ACCEPTED


def _revert(volume_id: str, arguments: dict[str, Any]) -> int:
    found(volume_id, "volume:revert_to_snapshot")
    admission.submit("volume.revert", volume_id, {"snapshot_id": arguments["snapshot_id"]})
    return ACCEPTED


def _retype(volume_id: str, arguments: dict[str, Any]) -> int:
    project = found(volume_id, "volume:retype").project_id
    may = {"may_multiattach": allowed("volume:multiattach", project)}
    admission.submit("volume.retype", volume_id, {**arguments, **may})
    return ACCEPTED


def _unmanage(volume_id: str, _arguments: Any) -> int:
    found(volume_id, "volume_extension:volume_unmanage")
    admission.submit("volume.unmanage", volume_id, {})
    return ACCEPTED


def _not_here(rule: str, text: str) -> Action:
    """An action that this installation has nothing for: refused, once it is allowed."""

    def refuse(volume_id: str, _arguments: Any) -> NoReturn:
        found(volume_id, rule)
        raise ApiError(400, text)

    return refuse


NO_IMAGES = "Invalid image: this installation has no image service configured."
NO_MIGRATION = "Invalid host: no backend of this installation takes volumes from another one."

ACTIONS: dict[str, Action] = {
    "extend": _extend,
    "extend_completion": _complete_extension,
    "force_delete": _force_delete,
    "reset_status": _reset_status,
    "set_bootable": _set_bootable,
    "set_readonly": _set_readonly,
    **volume_use.ACTIONS,
    "revert": _revert,
    "retype": _retype,
    "unmanage": _unmanage,
    "set_image_metadata": image_metadata.set_pairs,
    "unset_image_metadata": image_metadata.unset,
    "show_image_metadata": image_metadata.show,
    "migrate": _not_here(f"{ADMIN_ACTIONS}migrate_volume", NO_MIGRATION),
    "migrate_completion": _not_here(
        f"{ADMIN_ACTIONS}migrate_volume_completion",
        "Invalid volume: it is not being migrated.",
    ),
    "upload_image": _not_here("volume_extension:volume_actions:upload_image", NO_IMAGES),
    "reimage": _not_here("volume:reimage", NO_IMAGES),
}
"""By the field's name in the schema."""

REVERT_SINCE = 40
REIMAGE_SINCE = 68
EXTEND_COMPLETION_SINCE = 71
SINCE = {
    "revert": REVERT_SINCE,
    "reimage": REIMAGE_SINCE,
    "extend_completion": EXTEND_COMPLETION_SINCE,
}
"""The microversion with which an action came, if that is not the first."""
