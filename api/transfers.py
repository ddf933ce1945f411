"""Transfers of volumes to other projects: one resource as /volume-transfers and, as clients of
versions before 3.55 know it, /os-volume-transfer.
"""

from typing import Any

from flask import Response, g
from sqlalchemy import select

from api import filters, paging
from api.blueprint import Blueprint
from api.context import current, settings
from api.errors import ApiError
from api.links import of, time_text
from api.listing import listed
from api.microversion import at_least
from api.policy import authorize
from api.schemas.fields import is_uuid
from api.schemas.transfers import (
    AcceptanceBody,
    NewTransferBody,
    TransferAnswer,
    TransfersAnswer,
)
from api.volumes import find as find_volume
from db import quota, transfers
from db.models import Transfer
from db.transactions import reading, writing

blp = Blueprint("transfers", __name__, description="Transfers of volumes to other projects")

COLLECTION = "os-volume-transfer"

SORTABLE = {
    "id": Transfer.id,
    "name": Transfer.name,
    "display_name": Transfer.name,
    "volume_id": Transfer.volume_id,
    "created_at": Transfer.created_at,
    "updated_at": Transfer.updated_at,
}

FILTERS: dict[str, filters.Filter] = {
    "id": filters.equal(Transfer.id),
    "name": filters.equal(Transfer.name),
    "display_name": filters.equal(Transfer.name),
    "volume_id": filters.equal(Transfer.volume_id),
}
ADMIN_FILTERS: dict[str, filters.Filter] = {
    "source_project_id": filters.equal(Transfer.source_project_id),
}
BESIDES = frozenset({"all_projects"})
"""What openstacksdk sends for `all_tenants`, and Cinder ignores."""


def summary(transfer: Transfer) -> dict[str, Any]:
    """The short form."""
    return {
        "id": transfer.id,
        "volume_id": transfer.volume_id,
        "name": transfer.name,
        "links": of(COLLECTION, transfer.id),
    }


def detail(transfer: Transfer) -> dict[str, Any]:
    """The long form; never with the key."""
    shown = summary(transfer) | {"created_at": time_text(transfer.created_at)}
    if at_least(55):
        shown["no_snapshots"] = transfer.no_snapshots
    if at_least(57):
        shown["source_project_id"] = transfer.source_project_id
        shown["destination_project_id"] = transfer.destination_project_id
        shown["accepted"] = transfer.accepted
    return shown


def find(transfer_id: str) -> Transfer:
    """The open transfer of that id that the request may see; raises NotFound."""
    found = None
    if is_uuid(transfer_id):
        query = select(Transfer).where(Transfer.id == transfer_id, Transfer.accepted.is_(False))
        if not current().is_admin:
            query = query.where(Transfer.source_project_id == current().project_id)
        with reading() as tx:
            found = tx.scalars(query).first()
    if found is None:
        raise transfers.not_found(transfer_id)
    return found


@blp.get("/volume-transfers")
@blp.get("/os-volume-transfer")
@blp.doc(parameters=paging.DOCUMENTED)
@blp.response(200, TransfersAnswer)
def list_transfers() -> dict[str, Any]:
    """List the open transfers that the project offers."""
    return _list(summary, COLLECTION)


@blp.get("/volume-transfers/detail")
@blp.get("/os-volume-transfer/detail")
@blp.doc(parameters=paging.DOCUMENTED)
@blp.response(200, TransfersAnswer)
def list_transfers_in_detail() -> dict[str, Any]:
    """List the open transfers with their details."""
    return _list(detail, f"{COLLECTION}/detail")


def _list(view: Any, path: str) -> dict[str, Any]:
    authorize("volume:get_all_transfers")
    mine = filters.conditions(Transfer.source_project_id, FILTERS, ADMIN_FILTERS, BESIDES)
    return listed(
        select(Transfer).where(Transfer.accepted.is_(False), *mine),
        view,
        collection="transfers",
        sortable=SORTABLE,
        find=find,
        path=path,
    )


@blp.get("/volume-transfers/<transfer_id>")
@blp.get("/os-volume-transfer/<transfer_id>")
@blp.response(200, TransferAnswer)
def show_transfer(transfer_id: str) -> dict[str, Any]:
    """Show a transfer."""
    transfer = find(transfer_id)
    authorize("volume:get_transfer", transfer.source_project_id)
    return {"transfer": detail(transfer)}


@blp.post("/volume-transfers")
@blp.post("/os-volume-transfer")
@blp.arguments(NewTransferBody)
@blp.response(202, TransferAnswer)
def create_transfer(body: dict[str, Any]) -> dict[str, Any]:
    """Offer a volume; the answer has the key, which is shown only here."""
    given = body["transfer"]
    if "no_snapshots" in given and not at_least(55):
        raise ApiError(
            400, "Additional properties are not allowed ('no_snapshots' was unexpected)."
        )
    volume = find_volume(given["volume_id"])
    authorize("volume:create_transfer", volume.project_id)
    g.answer_is_secret = True
    try:
        with writing() as tx:
            transfer, key = transfers.offer(
                tx, volume.id, given["name"], given.get("no_snapshots", False)
            )
    except transfers.CannotTransfer as error:
        raise ApiError(400, str(error)) from error
    return {"transfer": detail(transfer) | {"auth_key": key}}


@blp.post("/volume-transfers/<transfer_id>/accept")
@blp.post("/os-volume-transfer/<transfer_id>/accept")
@blp.arguments(AcceptanceBody)
@blp.response(202, TransferAnswer)
def accept_transfer(body: dict[str, Any], transfer_id: str) -> dict[str, Any]:
    """Take an offered volume into the project, with the key of the offer."""
    authorize("volume:accept_transfer")
    who = current()
    if not is_uuid(transfer_id):
        raise transfers.not_found(transfer_id)
    try:
        with writing() as tx:
            transfer = transfers.accept(
                tx,
                transfer_id,
                body["accept"]["auth_key"],
                who.project_id,
                who.user_id,
                quota.defaults(settings()),
            )
    except transfers.CannotTransfer as error:
        raise ApiError(400, str(error)) from error
    return {"transfer": summary(transfer)}


@blp.delete("/volume-transfers/<transfer_id>")
@blp.delete("/os-volume-transfer/<transfer_id>")
@blp.response(202)
def delete_transfer(transfer_id: str) -> Response:
    """End an offer; the volume is available again."""
    transfer = find(transfer_id)
    authorize("volume:delete_transfer", transfer.source_project_id)
    with writing() as tx:
        transfers.withdraw(tx, transfer_id)
    return Response(status=202)
