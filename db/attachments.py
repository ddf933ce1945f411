"""Attachments of a volume: what they make of its status, how one comes and how all of them go.

Everything here works in the caller's transaction. Whoever changes an attachment has locked its
volume first, and its flow before both, so the volume's status is always that of all of them.
"""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from db import journal
from db.models import Attachment, Flow, Node, Residue, Volume
from db.models.flow import PARKED, SUPERSEDED
from db.models.pool import FORGOTTEN
from db.transitions import (
    ATTACHED,
    ATTACHING,
    AVAILABLE,
    DETACHED,
    DETACHING,
    ERROR_DETACHING,
    IN_USE,
    RESERVED,
    STANDINGS,
    InvalidStatus,
    NotFound,
    locked,
)

_RANK = (ATTACHED, ATTACHING, DETACHING, RESERVED)
_COUNTS_AS = {ERROR_DETACHING: ATTACHED}  # its host may still have it
_STATUS = {ATTACHED: IN_USE, DETACHED: AVAILABLE}


def standing(statuses: Iterable[str]) -> tuple[str, str]:
    """Status and attach_status of a volume whose attachments have these statuses.

    The first of attached, attaching, detaching and reserved that one of them has. One that could
    not be attached does not count, as in Cinder.
    """
    counted = {_COUNTS_AS.get(status, status) for status in statuses}
    attach_status = next((status for status in _RANK if status in counted), DETACHED)
    return _STATUS.get(attach_status, attach_status), attach_status


def settle(tx: Session, volume: Volume) -> None:
    """Give a locked volume the standing of its attachments; another status is left as it is."""
    tx.flush()
    statuses = tx.scalars(select(Attachment.status).where(Attachment.volume_id == volume.id))
    status, volume.attach_status = standing(statuses)
    if volume.status in STANDINGS:
        volume.status = status


def locked_volume(tx: Session, volume_id: str) -> Volume:
    """The volume, locked, if it is one that users see. Raises NotFound."""
    volume = locked(tx, Volume, volume_id)
    if volume is None or not volume.visible:
        raise NotFound(f"Volume {volume_id} could not be found.")
    return volume


def of_volume(tx: Session, volume_id: str) -> list[Attachment]:
    """All attachments of a volume, the oldest first."""
    query = select(Attachment).where(Attachment.volume_id == volume_id)
    return list(tx.scalars(query.order_by(Attachment.created_at, Attachment.id)))


def with_volume(tx: Session, attachment_id: str) -> tuple[Attachment, Volume]:
    """An attachment and its volume, both locked. Raises NotFound."""
    volume_id = tx.scalar(select(Attachment.volume_id).where(Attachment.id == attachment_id))
    if volume_id is None:
        raise missing(attachment_id)
    volume = locked_volume(tx, volume_id)
    attachment = locked(tx, Attachment, attachment_id)
    if attachment is None:
        raise missing(attachment_id)
    return attachment, volume


def missing(attachment_id: str) -> NotFound:
    """The error for an attachment that does not exist, or is another project's."""
    return NotFound(
        f"Volume attachment could not be found with filter: attachment_id = {attachment_id}."
    )


def reserve(
    tx: Session,
    volume: Volume,
    *,
    attachment_id: str,
    user_id: str,
    instance_id: str | None,
    mode: str | None,
    flow: Flow | None = None,
) -> Attachment:
    """Reserve a locked volume for a new attachment, owned by `flow` if there is one.

    A second one needs multiattach; but the instance that has the volume may have it once more,
    which is how it moves from host to host. Raises InvalidStatus.
    """
    allowed = frozenset({AVAILABLE, IN_USE} if volume.multiattach else {AVAILABLE})
    if volume.status in allowed:
        volume.status = RESERVED
    elif volume.status not in STANDINGS or not _has_instance(tx, volume, instance_id):
        raise InvalidStatus(volume.id, "attachment", volume.status, allowed)
    attachment = Attachment(
        id=attachment_id,
        volume_id=volume.id,
        project_id=volume.project_id,
        user_id=user_id,
        instance_id=instance_id,
        attach_mode="ro" if volume.readonly else mode,
        status=RESERVED,
        flow_id=flow.id if flow else None,
        epoch=flow.epoch if flow else 0,
    )
    tx.add(attachment)
    tx.flush()
    return attachment


def _has_instance(tx: Session, volume: Volume, instance_id: str | None) -> bool:
    if instance_id is None:
        return False
    return any(found.instance_id == instance_id for found in of_volume(tx, volume.id))


def remove(tx: Session, attachment: Attachment, volume: Volume) -> None:
    """Remove an attachment that nothing works on, and give its locked volume what then stands."""
    tx.delete(attachment)
    settle(tx, volume)


def lock_flows(tx: Session, volume_id: str) -> None:
    """Lock the flows that work on a volume's attachments, as they do: before volume and rows."""
    owners = select(Attachment.flow_id).where(
        Attachment.volume_id == volume_id, Attachment.flow_id.is_not(None)
    )
    for flow_id in sorted(filter(None, tx.scalars(owners))):
        journal.lock(tx, flow_id)


def drop_all(tx: Session, volume: Volume, request_id: str) -> None:
    """Remove every attachment of a locked volume, whatever works on them (see `lock_flows`).

    What a node was or will be told of them is undone there by a residue.
    """
    for attachment in of_volume(tx, volume.id):
        flow = journal.lock(tx, attachment.flow_id) if attachment.flow_id else None
        if flow is not None:
            _supersede(tx, flow, attachment)
        drop_parked(tx, attachment)
        if attachment.connector is not None or flow is not None:
            _leave_disconnect(tx, attachment, volume, request_id)
        tx.delete(attachment)
    settle(tx, volume)


def drop_parked(tx: Session, attachment: Attachment) -> None:
    """Something else takes a locked attachment over: a flow parked on it will not go on."""
    waiting = select(Residue).where(Residue.volume_id == attachment.id, Residue.resume.is_(True))
    for residue in tx.scalars(waiting):
        flow = tx.get(Flow, residue.flow_id, with_for_update=True)
        if flow is not None and flow.state == PARKED:
            flow.state = SUPERSEDED
        tx.delete(residue)


def _supersede(tx: Session, flow: Flow, attachment: Attachment) -> None:
    message = "An administrator took the attachment over."
    error = {"type": "Superseded", "status": 409, "message": message}
    journal.raise_epoch(tx, flow)
    attachment.epoch = flow.epoch
    journal.write(tx, flow, "supersede", "done", error=error)
    flow.error = error
    journal.end(tx, flow, SUPERSEDED)


def _leave_disconnect(tx: Session, attachment: Attachment, volume: Volume, request_id: str) -> None:
    host = node_of(tx, volume)
    if host is None:
        return
    order = connection(volume, object_name(attachment.id), attachment.connector)
    tx.add(
        Residue(
            flow_id=attachment.flow_id or attachment.id,
            request_id=request_id,
            volume_id=attachment.id,
            host=host,
            op={**order, "verb": "disconnect"},
            epoch=attachment.epoch + 1,  # its connection was made under this one
            reason="its volume was detached by force",
        )
    )


# -- what a node is asked ----------------------------------------------------------------------


def object_name(attachment_id: str) -> str:
    """The name of an attachment's connection on its node."""
    return f"attachment-{attachment_id}"


def node_of(tx: Session, volume: Volume) -> str | None:
    """The node that connects a volume; None when it has none, or that is gone for good."""
    host = (volume.host or "").partition("@")[0]
    node = tx.get(Node, host) if host else None
    return None if node is None or node.state == FORGOTTEN else host


def connection(
    volume: Volume, name: str, connector: dict[str, Any] | None, mode: str = "rw"
) -> dict[str, Any]:
    """The order to connect or disconnect a volume under `name`, but for its verb."""
    _, _, rest = (volume.host or "").partition("@")
    backend, _, pool = rest.partition("#")
    return {
        "backend": backend,
        "pool": pool,
        "object": name,
        "volume_id": volume.id,
        "size_gib": volume.size,
        "spec": {},
        "source": {"kind": "volume", "object": volume.object_name, "size_gib": volume.size},
        "connector": connector,
        "mode": mode,
    }
