"""Messages to users about requests that were accepted and then failed.

The codes of actions and details, and their texts, are those of Cinder, so that what a client knows
of an `event_id` holds here. A text is made of these alone: it tells nothing of pools, nodes or
other projects. What Cinder has no code for is told with the code of no action.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy.orm import Session

from db.models import Flow, UserMessage, utcnow

LEVEL = "ERROR"
"""The only one that there is."""

NO_ACTION = "000"
ACTIONS = {
    "001": "schedule allocate volume",
    "006": "unmanage volume",
    "007": "extend volume",
    "008": "create volume from backend storage",
    "009": "create snapshot",
    "010": "delete snapshot",
}
DETAILS = {
    "001": "An unknown error occurred.",
    "003": "Could not find any available weighted backend.",
    "010": "Volume Driver failed to extend volume.",
    "012": "Driver failed to create the volume.",
    "013": "Snapshot failed to create.",
    "016": "Snapshot failed to delete.",
}

_BY_KIND = {
    "volume.create": ("008", "012"),
    "volume.extend": ("007", "010"),
    "volume.unmanage": ("006", "001"),
    "snapshot.create": ("009", "013"),
    "snapshot.delete": ("010", "016"),
}
"""Kind of flow → what was done, and what is told where the error itself has no code."""

_BY_ERROR = {"NoValidBackend": "003", "NoRoom": "003"}


def codes(kind: str, error: Mapping[str, Any]) -> tuple[str, str]:
    """The codes of action and detail for a flow of `kind` that failed with `error`."""
    action, detail = _BY_KIND.get(kind, (NO_ACTION, "001"))
    of_error = _BY_ERROR.get(str(error.get("type")))
    if kind == "volume.create" and error.get("step") == "schedule":
        action = "001"
    return action, of_error or detail


def tell(tx: Session, flow: Flow, days: int) -> None:
    """Write to the flow's project that it failed; the message is kept for `days`.

    In the transaction that ends the flow, so there is one message for each that fails.
    """
    noun, _, verb = flow.kind.partition(".")
    action, detail = codes(flow.kind, flow.error or {})
    resource_type = "VOLUME" if noun == "volume" else f"VOLUME_{noun.upper()}"
    now = utcnow()
    what = ACTIONS.get(action, f"{verb} {noun}").replace("_", " ")
    tx.add(
        UserMessage(
            project_id=flow.project_id,
            request_id=flow.request_id,
            flow_id=flow.id,
            resource_type=resource_type,
            resource_uuid=flow.resource_id,
            event_id=f"VOLUME_{resource_type}_{action}_{detail}",
            action_id=action,
            detail_id=detail,
            message_level=LEVEL,
            user_message=f"{what}:{DETAILS[detail]}",
            created_at=now,
            expires_at=now + timedelta(days=days),
        )
    )
