"""What is done to a group by POST …/action."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NoReturn

from flask import Response

from api import admission
from api.blueprint import Blueprint
from api.errors import ApiError
from api.groups import find
from api.microversion import since
from api.policy import authorize
from api.schemas.groups import GroupAction
from db.models import Group
from db.overrides import reset_group_status
from db.transactions import writing

blp = Blueprint("group_actions", __name__, description="Actions on groups")
blp.before_request(partial(since, 13))


@blp.post("/groups/<group_id>/action")
@blp.arguments(GroupAction)
@blp.response(202)
def act(body: dict[str, Any], group_id: str) -> Response:
    """Do the one action that the body names."""
    ((name, arguments),) = body.items()
    minor, rule, action = ACTIONS[name]
    since(minor)
    authorize(rule, find(group_id).project_id)
    action(group_id, arguments)
    return Response(status=202)


def _delete(group_id: str, arguments: dict[str, Any]) -> None:
    admission.submit("group.delete", group_id, {"delete_volumes": arguments["delete_volumes"]})


def _reset_status(group_id: str, arguments: dict[str, Any]) -> None:
    with writing() as tx:
        reset_group_status(tx, Group, group_id, arguments["status"])


def _refuse_replication(group_id: str, _arguments: Any) -> NoReturn:
    raise ApiError(
        400,
        f"Invalid group type: Group {group_id} is of a type without replication, which no backend "
        "of this installation offers.",
    )


ACTIONS: Mapping[str, tuple[int, str, Callable[[str, Any], None]]] = {
    "delete": (13, "group:delete", _delete),
    "reset_status": (20, "group:reset_status", _reset_status),
    "enable_replication": (38, "group:enable_replication", _refuse_replication),
    "disable_replication": (38, "group:disable_replication", _refuse_replication),
    "failover_replication": (38, "group:failover_replication", _refuse_replication),
    "list_replication_targets": (38, "group:list_replication_targets", _refuse_replication),
}
"""By the field's name in the schema: the microversion, the policy's rule, and what is done."""
