"""How the clients of the older API use a volume: they reserve, attach and detach it themselves.

Everything here is done to a locked volume, in the caller's transaction (see `db.attachments`).
"""

from sqlalchemy.orm import Session

from db import attachments
from db.models import Attachment, Volume, utcnow
from db.transitions import (
    ATTACHED,
    ATTACHING,
    AVAILABLE,
    DETACHING,
    IN_USE,
    STANDINGS,
    InvalidStatus,
)


class WrongMode(Exception):
    """A volume that may only be read is asked for to be written."""

    def __init__(self, volume: Volume, mode: str) -> None:
        super().__init__(f"Invalid attaching mode '{mode}' for volume {volume.id}.")


class Ambiguous(Exception):
    """A volume with several attachments is to be detached from one that is not named."""

    def __init__(self, volume: Volume) -> None:
        super().__init__(
            f"Invalid volume: volume {volume.id} has more than one attachment, and the request has "
            "no attachment_id."
        )


def reserve(volume: Volume) -> None:
    """Keep a volume for its client. Raises InvalidStatus: of two at once, for the second."""
    _move(volume, "reserve", _attachable(volume), ATTACHING)


def unreserve(tx: Session, volume: Volume) -> None:
    """Give up a reservation; without one nothing happens, as in Cinder."""
    if volume.status == ATTACHING:
        volume.status = IN_USE if attachments.of_volume(tx, volume.id) else AVAILABLE


def begin_detaching(volume: Volume) -> None:
    """Say that a volume is about to be detached. Raises InvalidStatus."""
    allowed = frozenset({IN_USE})
    if volume.attach_status != ATTACHED:
        raise InvalidStatus(volume.id, "detaching", volume.attach_status, frozenset({ATTACHED}))
    _move(volume, "detaching", allowed, DETACHING)


def roll_detaching(volume: Volume) -> None:
    """Say that it is not after all; otherwise nothing happens, as in Cinder."""
    if volume.status == DETACHING:
        volume.status = IN_USE


def attach(
    tx: Session,
    volume: Volume,
    *,
    user_id: str,
    instance_id: str | None,
    host: str | None,
    mountpoint: str,
    mode: str,
) -> None:
    """Write down that an instance or a host has the volume; once, however often it is said.

    Raises InvalidStatus, or WrongMode for a volume that is read-only.
    """
    volume.readonly = bool(volume.readonly)
    if volume.readonly and mode != "ro":
        raise WrongMode(volume, mode)
    if _has(tx, volume, instance_id, host):
        attachments.settle(tx, volume)
        return
    allowed = _attachable(volume) | {ATTACHING}
    if volume.status not in allowed:
        raise InvalidStatus(volume.id, "attach", volume.status, allowed)
    tx.add(
        Attachment(
            volume_id=volume.id,
            project_id=volume.project_id,
            user_id=user_id,
            instance_id=instance_id,
            attached_host=host,
            mountpoint=mountpoint,
            attach_mode=mode,
            attach_time=utcnow(),
            status=ATTACHED,
        )
    )
    attachments.settle(tx, volume)


def detach(tx: Session, volume: Volume, attachment_id: str | None) -> str | None:
    """Remove the attachment that is named, or the only one; without any the volume is detached.

    Returns its id, with nothing done, when its node must end a connection first. Raises
    InvalidStatus, or Ambiguous.
    """
    if volume.status not in STANDINGS:
        raise InvalidStatus(volume.id, "detach", volume.status, frozenset(STANDINGS))
    all_of_them = attachments.of_volume(tx, volume.id)
    if attachment_id is None and len(all_of_them) > 1:
        raise Ambiguous(volume)
    for attachment in all_of_them:
        if attachment_id in (None, attachment.id):
            if attachment.connector is not None or attachment.flow_id is not None:
                return attachment.id
            tx.delete(attachment)
    attachments.settle(tx, volume)
    return None


def set_readonly(volume: Volume, readonly: bool) -> None:
    """Say whether a volume may only be read. Raises InvalidStatus unless it is available."""
    _move(volume, "update_readonly_flag", frozenset({AVAILABLE}), AVAILABLE)
    volume.readonly = readonly


def _attachable(volume: Volume) -> frozenset[str]:
    return frozenset({AVAILABLE, IN_USE} if volume.multiattach else {AVAILABLE})


def _move(volume: Volume, action: str, allowed: frozenset[str], status: str) -> None:
    if volume.status not in allowed:
        raise InvalidStatus(volume.id, action, volume.status, allowed)
    volume.status = status


def _has(tx: Session, volume: Volume, instance_id: str | None, host: str | None) -> bool:
    """Whether the instance, or the host where there is none, is attached already."""
    attached = [one for one in attachments.of_volume(tx, volume.id) if one.status == ATTACHED]
    if instance_id is not None:
        return any(one.instance_id == instance_id for one in attached)
    return any(one.instance_id is None and one.attached_host == host for one in attached)
