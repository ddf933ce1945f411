"""Actions by which clients of the older API use a volume: reserve, connect, attach, detach."""

from collections.abc import Callable
from typing import Any, TypeAlias

from flask import Response, g, jsonify
from sqlalchemy.orm import Session

from api import admission
from api.context import current
from api.errors import ApiError
from api.volumes import found
from db import volume_use
from db.attachments import locked_volume
from db.models import Volume
from db.transactions import writing

ACCEPTED = 202

RULES = "volume_extension:volume_actions:"

Use: TypeAlias = Callable[[Session, Volume], Any]


def _used(volume_id: str, rule: str, use: Use) -> Any:
    """Do `use` to the volume in one transaction. Raises ApiError, NotFound, InvalidStatus."""
    found(volume_id, rule)
    try:
        with writing() as tx:
            return use(tx, locked_volume(tx, volume_id))
    except (volume_use.WrongMode, volume_use.Ambiguous) as error:
        raise ApiError(400, str(error)) from error


def _reserve(volume_id: str, _arguments: Any) -> int:
    _used(volume_id, f"{RULES}reserve", lambda _tx, volume: volume_use.reserve(volume))
    return ACCEPTED


def _unreserve(volume_id: str, _arguments: Any) -> int:
    _used(volume_id, f"{RULES}unreserve", volume_use.unreserve)
    return ACCEPTED


def _begin_detaching(volume_id: str, _arguments: Any) -> int:
    rule = f"{RULES}begin_detaching"
    _used(volume_id, rule, lambda _tx, volume: volume_use.begin_detaching(volume))
    return ACCEPTED


def _roll_detaching(volume_id: str, _arguments: Any) -> int:
    rule = f"{RULES}roll_detaching"
    _used(volume_id, rule, lambda _tx, volume: volume_use.roll_detaching(volume))
    return ACCEPTED


def _attach(volume_id: str, arguments: dict[str, Any]) -> int:
    def attach(tx: Session, volume: Volume) -> None:
        volume_use.attach(
            tx,
            volume,
            user_id=current().user_id,
            instance_id=arguments["instance_uuid"],
            host=arguments["host_name"],
            mountpoint=arguments["mountpoint"],
            mode=arguments["mode"],
        )

    _used(volume_id, f"{RULES}attach", attach)
    return ACCEPTED


def _detach(volume_id: str, arguments: dict[str, Any] | None) -> int:
    return _detached(volume_id, f"{RULES}detach", (arguments or {}).get("attachment_id"))


def _force_detach(volume_id: str, arguments: dict[str, Any]) -> int:
    rule = "volume_extension:volume_admin_actions:force_detach"
    found(volume_id, rule)
    if arguments["connector"]:
        _disconnect(volume_id, arguments["connector"])
    return _detached(volume_id, rule, arguments["attachment_id"])


def _detached(volume_id: str, rule: str, attachment_id: str | None) -> int:
    def detach(tx: Session, volume: Volume) -> str | None:
        return volume_use.detach(tx, volume, attachment_id)

    connected = _used(volume_id, rule, detach)
    if connected is not None:
        admission.submit("attachment.disconnect", connected, {"volume_id": volume_id})
    return ACCEPTED


def _initialize_connection(volume_id: str, arguments: dict[str, Any]) -> Response:
    found(volume_id, f"{RULES}initialize_connection")
    g.answer_is_secret = True  # a driver may have put the host's secret into it
    return jsonify(admission.ask("volume.connect", volume_id, arguments))


def _terminate_connection(volume_id: str, arguments: dict[str, Any]) -> int:
    found(volume_id, f"{RULES}terminate_connection")
    _disconnect(volume_id, arguments["connector"])
    return ACCEPTED


def _disconnect(volume_id: str, connector: dict[str, Any] | None) -> None:
    admission.submit("volume.disconnect", volume_id, {"connector": connector})


ACTIONS: dict[str, Callable[[str, Any], int | Response]] = {
    "reserve": _reserve,
    "unreserve": _unreserve,
    "begin_detaching": _begin_detaching,
    "roll_detaching": _roll_detaching,
    "attach": _attach,
    "detach": _detach,
    "force_detach": _force_detach,
    "initialize_connection": _initialize_connection,
    "terminate_connection": _terminate_connection,
}
"""By the field's name in the schema of actions."""
