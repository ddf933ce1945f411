"""Disconnect an attachment and remove it. The pivot is the node's step: what has begun to be taken
from a host is not given back.

The client is answered when the volume is free again, as Cinder does it; once past its pivot the
request is not taken back, however long the node needs.
"""

from db import attachments
from db.models import Attachment, Volume
from db.transitions import DETACHING, ERROR_DETACHING, locked, owned, take
from tasks.connection import ordered
from tasks.definition import FlowDefinition, NodeOrder, Results, Run
from tasks.parking import StatusParking


class AttachmentParking(StatusParking):
    """While the node is away its host may have the volume still, which therefore is in use."""

    def park(self, run: Run) -> None:
        """Let go of the attachment."""
        volume = attachments.locked_volume(run.tx, run.flow.payload["volume_id"])
        super().park(run)
        attachments.settle(run.tx, volume)

    def resume(self, run: Run) -> bool:
        """Take the attachment again; False when something else has taken it, or removed it."""
        volume = locked(run.tx, Volume, run.flow.payload["volume_id"])
        if volume is None or not super().resume(run):
            return False
        attachments.settle(run.tx, volume)
        return True


disconnect_attachment = FlowDefinition(
    "attachment.disconnect",
    admission="finish",
    pivot="disconnect",
    parking=AttachmentParking(ERROR_DETACHING, DETACHING),
)


@disconnect_attachment.step()
def extract(run: Run) -> Results:
    """Take the attachment.

    There is no compensation: the pivot comes next, so nothing can ask for one.
    """
    volume = attachments.locked_volume(run.tx, run.flow.payload["volume_id"])
    attachment, _ = take(
        run.tx, Attachment, run.flow.resource_id, "attachment.disconnect", run.flow
    )
    attachments.drop_parked(run.tx, attachment)
    attachments.settle(run.tx, volume)
    host = attachments.node_of(run.tx, volume)
    if host is None or attachment.connector is None:
        return {"node": None}
    name = attachments.object_name(attachment.id)
    return {"node": host, "order": attachments.connection(volume, name, attachment.connector)}


@disconnect_attachment.node_step()
def disconnect(run: Run) -> NodeOrder | None:
    """Have the node end the connection; there is none without a connector."""
    return ordered(run, "disconnect") if run.ctx["node"] is not None else None


@disconnect_attachment.step()
def finish(run: Run) -> Results:
    """Remove the attachment; its volume has the standing that the others give it."""
    attachment = owned(run.tx, Attachment, run.flow)
    if attachment is not None:
        volume = attachments.locked_volume(run.tx, attachment.volume_id)
        attachments.remove(run.tx, attachment, volume)
    return None
