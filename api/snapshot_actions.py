"""What is done to a snapshot by POST …/action."""

from collections.abc import Callable, Mapping
from typing import Any

from flask import Response

from api import admission
from api.blueprint import Blueprint
from api.policy import authorize
from api.schemas.snapshots import SnapshotAction
from api.snapshots import find
from db.overrides import reset_snapshot_status
from db.snapshots import update_status
from db.transactions import writing

blp = Blueprint("snapshot_actions", __name__, description="Actions on snapshots")

ACCEPTED = 202


@blp.route("/snapshots/<snapshot_id>/action", methods=["POST"])
@blp.arguments(SnapshotAction)
@blp.alt_response(ACCEPTED, description="Accepted")
def act(body: dict[str, Any], snapshot_id: str) -> Response:
    """Do the one action that the body names."""
    ((name, arguments),) = body.items()
    rule, action = ACTIONS[name]
    authorize(rule, find(snapshot_id).project_id)
    return Response(status=action(snapshot_id, arguments))


def _force_delete(snapshot_id: str, _arguments: Any) -> int:
    admission.submit("snapshot.delete", snapshot_id, {"force": True})
    return ACCEPTED


def _reset_status(snapshot_id: str, arguments: dict[str, Any]) -> int:
    with writing() as tx:
        reset_snapshot_status(tx, snapshot_id, arguments["status"])
    return ACCEPTED


def _unmanage(snapshot_id: str, _arguments: Any) -> int:
    admission.submit("snapshot.unmanage", snapshot_id, {})
    return ACCEPTED


def _update_status(snapshot_id: str, arguments: dict[str, Any]) -> int:
    with writing() as tx:
        update_status(tx, snapshot_id, arguments["status"], arguments["progress"])
    return ACCEPTED


ACTIONS: Mapping[str, tuple[str, Callable[[str, Any], int]]] = {
    "force_delete": ("volume_extension:snapshot_admin_actions:force_delete", _force_delete),
    "reset_status": ("volume_extension:snapshot_admin_actions:reset_status", _reset_status),
    "unmanage": ("snapshot_extension:snapshot_unmanage", _unmanage),
    "update_status": (
        "snapshot_extension:snapshot_actions:update_snapshot_status",
        _update_status,
    ),
}
"""By the field's name in the schema: the policy's rule, and what is done."""
