"""How the volumes of a type are encrypted: /types/{id}/encryption."""

from typing import Any

from flask import Response
from sqlalchemy.orm import Session

from api.blueprint import Blueprint
from api.context import current
from api.errors import ApiError
from api.links import time_text
from api.policy import authorize
from api.schemas.fields import is_uuid
from api.schemas.volume_types import (
    EncryptionAnswer,
    EncryptionBody,
    EncryptionChangeBody,
    EncryptionDocument,
    EncryptionItem,
)
from api.volume_types import find, in_use
from db.models import VolumeTypeEncryption
from db.transactions import reading, writing

blp = Blueprint("type_encryption", __name__, description="Encryption of a volume type's volumes")

POLICY = "volume_extension:volume_type_encryption"


def specs(encryption: VolumeTypeEncryption) -> dict[str, Any]:
    """What an administrator says of an encryption, and its ids."""
    return {
        "volume_type_id": encryption.volume_type_id,
        "encryption_id": encryption.encryption_id,
        "provider": encryption.provider,
        "cipher": encryption.cipher,
        "key_size": encryption.key_size,
        "control_location": encryption.control_location,
    }


def document(encryption: VolumeTypeEncryption) -> dict[str, Any]:
    """An encryption as the API shows it."""
    return specs(encryption) | {
        "created_at": time_text(encryption.created_at),
        "updated_at": time_text(encryption.updated_at),
        "deleted_at": None,
        "deleted": False,
    }


@blp.get("/types/<type_id>/encryption")
@blp.response(200, EncryptionDocument)
def show_encryption(type_id: str) -> dict[str, Any]:
    """Show how a type's volumes are encrypted; an empty object when they are not."""
    authorize(f"{POLICY}:get")
    with reading() as tx:
        find(tx, type_id, current())
        found = tx.get(VolumeTypeEncryption, type_id)
        return document(found) if found else {}


@blp.get("/types/<type_id>/encryption/<key>")
@blp.response(200, EncryptionItem)
def show_encryption_item(type_id: str, key: str) -> dict[str, Any]:
    """Show one of its values."""
    authorize(f"{POLICY}:get")
    with reading() as tx:
        find(tx, type_id, current())
        values = document(_found(tx, type_id))
    if key not in values:
        raise ApiError(404, f"The encryption of volume type {type_id} has no {key}.")
    return {key: values[key]}


@blp.post("/types/<type_id>/encryption")
@blp.arguments(EncryptionBody)
@blp.response(200, EncryptionAnswer)
def create_encryption(body: dict[str, Any], type_id: str) -> dict[str, Any]:
    """Have the volumes of a type, of which there are none yet, encrypted."""
    authorize(f"{POLICY}:create")
    encryption = VolumeTypeEncryption(volume_type_id=type_id, **body["encryption"])
    with writing() as tx:
        _lock_unused(tx, type_id, "create")
        if tx.get(VolumeTypeEncryption, type_id) is not None:
            raise ApiError(400, f"Volume type encryption for type {type_id} already exists.")
        tx.add(encryption)
    return {"encryption": specs(encryption)}


@blp.put("/types/<type_id>/encryption/<encryption_id>")
@blp.arguments(EncryptionChangeBody)
@blp.response(200, EncryptionAnswer)
def update_encryption(body: dict[str, Any], type_id: str, encryption_id: str) -> dict[str, Any]:
    """Change the encryption of a type that has no volumes."""
    authorize(f"{POLICY}:update")
    with writing() as tx:
        _lock_unused(tx, type_id, "update")
        found = _found(tx, type_id, encryption_id)
        for key, value in body["encryption"].items():
            setattr(found, key, value)
    return body


@blp.delete("/types/<type_id>/encryption/<encryption_id>")
@blp.response(202)
def delete_encryption(type_id: str, encryption_id: str) -> Response:
    """Have the volumes of a type, of which there are none, no longer encrypted."""
    authorize(f"{POLICY}:delete")
    with writing() as tx:
        _lock_unused(tx, type_id, "delete")
        tx.delete(_found(tx, type_id, encryption_id))
    return Response(status=202)


def _lock_unused(tx: Session, type_id: str, verb: str) -> None:
    find(tx, type_id, current(), for_update=True)
    if in_use(tx, type_id):
        raise ApiError(400, f"Cannot {verb} encryption specs. Volume type in use.")


def _found(tx: Session, type_id: str, encryption_id: str = "") -> VolumeTypeEncryption:
    """A type's encryption; `encryption_id` is its id or, from cinderclient, the word `provider`."""
    found = tx.get(VolumeTypeEncryption, type_id)
    if found is None or (is_uuid(encryption_id) and encryption_id != found.encryption_id):
        raise ApiError(404, f"Volume type encryption for type {type_id} does not exist.")
    return found
