"""Connect an attachment: its node lets a host reach the volume, and the client learns how.

The request is answered by the node, so admission is the last step: a failure before it is the
refusal of the request, and leaves attachment and volume as they were.
"""

from typing import Any

from db import attachments
from db.models import Attachment, Volume, utcnow
from db.transitions import (
    ATTACHING,
    STANDINGS,
    InvalidStatus,
    change_owned,
    let_go,
    owned,
    take,
)
from tasks.connection import access, ordered, placed
from tasks.definition import FlowDefinition, NodeOrder, Results, Run
from tasks.refusals import Refused

connect_attachment = FlowDefinition("attachment.connect", admission="finish")


@connect_attachment.step()
def extract(run: Run) -> Results:
    """Take the attachment; with a request that makes one, reserve the volume for it first."""
    asked, connector = run.flow.payload, run.flow.payload["connector"]
    volume = attachments.locked_volume(run.tx, asked["volume_id"])
    if asked["make"] is not None:
        _make(run, volume)
    attachment, previous = take(
        run.tx, Attachment, run.flow.resource_id, "attachment.connect", run.flow
    )
    if volume.status not in STANDINGS:
        raise InvalidStatus(volume.id, "connect", volume.status, frozenset(STANDINGS))
    if not volume.multiattach:
        _refuse_second_connection(run, attachment, connector.get("host"))
    mode = "ro" if volume.readonly else attachment.attach_mode or connector.get("mode") or "rw"
    return {
        "previous_status": previous,
        "access": {**access(run, volume, mode), "attachment_id": attachment.id},
        **placed(
            run, volume, attachments.object_name(attachment.id), {**connector, "mode": mode}, mode
        ),
    }


@extract.compensation
def restore_status(run: Run) -> Results:
    """The attachment is what it was; one that this request has made goes."""
    asked = run.flow.payload
    volume = attachments.locked_volume(run.tx, asked["volume_id"])
    attachment = owned(run.tx, Attachment, run.flow)
    if attachment is None:
        return None
    if asked["make"] is not None:
        attachments.remove(run.tx, attachment, volume)
    else:
        let_go(attachment, run.ctx["previous_status"])
    return None


@connect_attachment.node_step()
def connect(run: Run) -> NodeOrder:
    """Have the node export the volume to the connector's host."""
    return ordered(run, "connect")


@connect.node_compensation
def disconnect(run: Run) -> NodeOrder:
    """End the connection that this flow made."""
    return ordered(run, "disconnect")


@connect_attachment.step()
def finish(run: Run) -> Results:
    """Keep what the node has answered; the volume is attaching until the client says it is done."""
    volume = attachments.locked_volume(run.tx, run.flow.payload["volume_id"])
    connector = run.flow.payload["connector"]
    change_owned(
        run.tx,
        run.flow,
        connector=connector,
        connection_info=flat(run.ctx["connection_info"], run.ctx["access"]),
        attached_host=connector.get("host"),
        mountpoint=connector.get("mountpoint") or "na",
        attach_mode=run.ctx["access"]["access_mode"],
        attach_time=utcnow(),
        status=ATTACHING,
        flow_id=None,
    )
    volume.attach_status = ATTACHING
    if volume.status in STANDINGS:
        volume.status = ATTACHING
    return None


def flat(connection_info: dict[str, Any], access: dict[str, Any]) -> dict[str, Any]:
    """What a node has answered, as attachments show it: its `data` and the type side by side."""
    named = {"driver_volume_type": connection_info["driver_volume_type"]}
    return {**connection_info["data"], **access, **named}


def _make(run: Run, volume: Volume) -> None:
    asked = run.flow.payload["make"]
    attachments.reserve(
        run.tx,
        volume,
        attachment_id=run.flow.resource_id,
        user_id=run.flow.user_id,
        instance_id=asked["instance_id"],
        mode=asked["mode"],
        flow=run.flow,
    )


def _refuse_second_connection(run: Run, attachment: Attachment, host: str | None) -> None:
    """One host has a volume once; two may have it while an instance moves between them."""
    for other in attachments.of_volume(run.tx, attachment.volume_id):
        if other.id != attachment.id and other.connection_info and other.attached_host == host:
            raise Refused(
                400,
                f"Invalid volume: duplicate connectors detected on volume {attachment.volume_id}.",
            )
