"""Transfers of volumes between projects: offered with a key, accepted by whoever has it.

Offer and volume change in one transaction, the volume locked first: of two who accept at once, or
of one who accepts and one who withdraws, the second finds the offer ended.
"""

import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from db import quota
from db.models import Snapshot, Transfer, Volume, VolumeType, VolumeTypeAccess
from db.transitions import AVAILABLE, AWAITING_TRANSFER, TRANSITIONS, InvalidStatus, NotFound

KEY_BYTES = 16
SALT_BYTES = 16


class CannotTransfer(Exception):
    """The volume, its type or the key forbids the transfer."""


def offer(
    tx: Session, volume_id: str, name: str | None, no_snapshots: bool
) -> tuple[Transfer, str]:
    """Offer a volume; returns the offer and its key, of which only a salted hash is kept.

    Raises NotFound, InvalidStatus or CannotTransfer.
    """
    volume = _locked(tx, volume_id)
    transition = TRANSITIONS["volume.transfer"]
    if volume.flow_id is not None or not transition.permits(volume.status):
        raise InvalidStatus(volume.id, "transfer", volume.status, transition.allowed)
    _refuse_bound(volume)
    if not no_snapshots:
        _idle_snapshots(tx, volume)
    key, salt = secrets.token_hex(KEY_BYTES), secrets.token_hex(SALT_BYTES)
    transfer = Transfer(
        volume_id=volume.id,
        name=name,
        salt=salt,
        key_hash=_hashed(salt, key),
        no_snapshots=no_snapshots,
        source_project_id=volume.project_id,
    )
    tx.add(transfer)
    volume.status = transition.status
    tx.flush()
    return transfer, key


def accept(
    tx: Session,
    transfer_id: str,
    key: str,
    project_id: str,
    user_id: str,
    defaults: Mapping[str, int],
) -> Transfer:
    """Give the volume, with its snapshots unless they stay behind, to a project that pays for it.

    `defaults` are the configured limits. Raises NotFound, CannotTransfer, InvalidStatus or
    OverQuota.
    """
    transfer, volume = _locked_offer(tx, transfer_id)
    if not hmac.compare_digest(_hashed(transfer.salt, key), transfer.key_hash):
        raise CannotTransfer(
            f"Invalid auth key: Attempt to transfer {transfer_id} with invalid auth key."
        )
    if volume.flow_id is not None or volume.status != AWAITING_TRANSFER:
        raise InvalidStatus(
            volume.id, "accept_transfer", volume.status, frozenset({AWAITING_TRANSFER})
        )
    _refuse_bound(volume)
    if volume.volume_type_id and not _may_use(tx, volume.volume_type_id, project_id):
        raise CannotTransfer("Invalid volume: its type is private, and not yours to use.")
    snapshots = [] if transfer.no_snapshots else _idle_snapshots(tx, volume)
    rows: list[Volume | Snapshot] = [volume, *snapshots]
    quota.move(tx, rows, volume.project_id, project_id, defaults)
    for row in rows:
        row.project_id, row.user_id = project_id, user_id
    volume.status = AVAILABLE
    transfer.accepted, transfer.destination_project_id = True, project_id
    return transfer


def withdraw(tx: Session, transfer_id: str) -> None:
    """End an offer; its volume is available again. Raises NotFound."""
    transfer, volume = _locked_offer(tx, transfer_id)
    if volume.status == AWAITING_TRANSFER:  # an administrator may have set it to something else
        volume.status = AVAILABLE
    tx.delete(transfer)


def not_found(transfer_id: str) -> NotFound:
    """The refusal for an offer that does not exist, has ended, or is another project's."""
    return NotFound(f"Transfer {transfer_id} could not be found.")


def _locked(tx: Session, volume_id: str) -> Volume:
    found = tx.get(Volume, volume_id, with_for_update=True, populate_existing=True)
    if found is None or not found.visible:
        raise NotFound(f"Volume {volume_id} could not be found.")
    return found


def _locked_offer(tx: Session, transfer_id: str) -> tuple[Transfer, Volume]:
    volume_id = tx.scalar(select(Transfer.volume_id).where(Transfer.id == transfer_id))
    volume = _locked(tx, volume_id) if volume_id else None
    transfer = tx.get(Transfer, transfer_id, with_for_update=True, populate_existing=True)
    if volume is None or transfer is None or transfer.accepted:
        raise not_found(transfer_id)
    return transfer, volume


def _refuse_bound(volume: Volume) -> None:
    if volume.encryption_key_id is not None:
        raise CannotTransfer("Invalid volume: transferring encrypted volume is not supported.")
    if volume.group_id is not None:
        raise CannotTransfer(f"Invalid volume: volume {volume.id} must not be part of a group.")


def _idle_snapshots(tx: Session, volume: Volume) -> Sequence[Snapshot]:
    """The snapshots that go along, locked. Raises InvalidStatus for one that is in work."""
    snapshots = tx.scalars(
        select(Snapshot)
        .where(
            Snapshot.volume_id == volume.id,
            Snapshot.project_id == volume.project_id,
            Snapshot.visible,
        )
        .order_by(Snapshot.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).all()
    for snapshot in snapshots:
        if snapshot.flow_id is not None or snapshot.status != AVAILABLE:
            allowed = frozenset({AVAILABLE})
            raise InvalidStatus(snapshot.id, "transfer", snapshot.status, allowed, "snapshot")
    return snapshots


def _may_use(tx: Session, type_id: str, project_id: str) -> bool:
    volume_type = tx.get_one(VolumeType, type_id)
    return volume_type.is_public or tx.get(VolumeTypeAccess, (type_id, project_id)) is not None


def _hashed(salt: str, key: str) -> str:
    return hmac.digest(salt.encode(), key.encode(), hashlib.sha256).hex()
