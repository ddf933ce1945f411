"""Attachments of volumes to hosts (3.27): reserve, connect, complete, remove.

Cinder guards no look at an attachment by a rule: whoever may see its project sees it.
"""

from typing import Any

from flask import Response, g
from sqlalchemy import select

from api import admission, answers, filters, paging
from api.blueprint import Blueprint
from api.context import current
from api.errors import TEXTS, ApiError
from api.links import time_text
from api.listing import listed
from api.microversion import at_least
from api.paging import AnyRow
from api.policy import authorize
from api.schemas.attachments import (
    AttachmentAction,
    AttachmentAnswer,
    AttachmentCreate,
    AttachmentDetailList,
    AttachmentList,
    AttachmentUpdate,
)
from api.schemas.fields import is_uuid
from api.volumes import found as found_volume
from db import attachments
from db.models import Attachment, new_id, utcnow
from db.transactions import reading, writing
from db.transitions import ATTACHED, ATTACHING, IN_USE, RESERVED, InvalidStatus, NotFound

blp = Blueprint("attachments", __name__, description="Attachments of volumes to hosts")

CONNECT, DISCONNECT = "attachment.connect", "attachment.disconnect"

COMPLETABLE = frozenset({RESERVED, ATTACHING, ATTACHED})

FILTERS: dict[str, filters.Filter] = {
    "volume_id": filters.equal(Attachment.volume_id),
    "instance_id": filters.equal(Attachment.instance_id),
    "status": filters.equal(Attachment.status),
    "attach_status": filters.equal(Attachment.status),
}
ADMIN_FILTERS: dict[str, filters.Filter] = {
    "id": filters.equal(Attachment.id),
    "project_id": filters.equal(Attachment.project_id),
}
SORTABLE = {
    "id": Attachment.id,
    "status": Attachment.status,
    "attach_status": Attachment.status,
    "volume_id": Attachment.volume_id,
    "instance_uuid": Attachment.instance_id,
    "attached_host": Attachment.attached_host,
    "mountpoint": Attachment.mountpoint,
    "created_at": Attachment.created_at,
    "updated_at": Attachment.updated_at,
}
LIST_PARAMETERS = [
    *paging.DOCUMENTED,
    *({"in": "query", "name": name, "schema": {"type": "string"}} for name in FILTERS),
    {"in": "query", "name": "all_tenants", "schema": {"type": "boolean"}},
]


@blp.before_request
def _refuse_before() -> None:
    """Earlier versions have no such resource."""
    if not at_least(27):
        raise ApiError(404, TEXTS[404])


def summary(attachment: Attachment) -> dict[str, Any]:
    """The short form."""
    return {
        "id": attachment.id,
        "status": attachment.status,
        "instance": attachment.instance_id,
        "volume_id": attachment.volume_id,
    }


def detail(attachment: Attachment) -> dict[str, Any]:
    """The long form; a time that has not come is empty."""
    return summary(attachment) | {
        "attached_at": time_text(attachment.attach_time) or "",
        "detached_at": time_text(attachment.detach_time) or "",
        "attach_mode": attachment.attach_mode,
        "connection_info": attachment.connection_info or {},
    }


def find(attachment_id: str) -> Attachment:
    """The attachment of that id that the request may see. Raises NotFound."""
    row = None
    if is_uuid(attachment_id):
        who = current()
        query = select(Attachment).where(Attachment.id == attachment_id)
        if not who.is_admin:
            query = query.where(Attachment.project_id == who.project_id)
        with reading() as tx:
            # a flow may have changed the one that this request has read before
            row = tx.scalars(query.execution_options(populate_existing=True)).first()
    if row is None:
        raise attachments.missing(attachment_id)
    return row


def found(attachment_id: str, rule: str) -> Attachment:
    """As `find`, for what `rule` guards. Raises NotFound, or ApiError (403)."""
    row = find(attachment_id)
    authorize(rule, row.project_id)
    return row


@blp.route("/attachments")
@blp.doc(parameters=LIST_PARAMETERS)
@blp.response(200, AttachmentList)
def list_attachments() -> dict[str, Any]:
    """List attachments."""
    return _list(summary, "attachments")


@blp.route("/attachments/detail")
@blp.doc(parameters=LIST_PARAMETERS)
@blp.response(200, AttachmentDetailList)
def list_attachments_in_detail() -> dict[str, Any]:
    """List attachments with their details."""
    return _list(detail, "attachments/detail")


def _list(view: Any, path: str) -> dict[str, Any]:
    return listed(
        select(Attachment).where(
            *filters.conditions(Attachment.project_id, FILTERS, ADMIN_FILTERS)
        ),
        view,
        collection="attachments",
        sortable=SORTABLE,
        find=find,
        path=path,
    )


@blp.route("/attachments/<attachment_id>")
@blp.response(200, AttachmentAnswer)
def show_attachment(attachment_id: str) -> dict[str, Any]:
    """Show an attachment."""
    return {"attachment": detail(find(attachment_id))}


@blp.route("/attachments", methods=["POST"])
@blp.arguments(AttachmentCreate)
@blp.response(200, AttachmentAnswer)
def create_attachment(body: dict[str, Any]) -> dict[str, Any]:
    """Reserve a volume for an instance or a host; with a connector, connect it too."""
    asked = body["attachment"]
    volume = found_volume(asked["volume_uuid"], "volume:attachment_create")
    if volume.multiattach and volume.status == IN_USE and volume.bootable:
        authorize("volume:multiattach_bootable_volume", volume.project_id)
    attachment_id, connector = new_id(), asked["connector"]
    make = {"instance_id": asked["instance_uuid"], "mode": asked["mode"]}
    if connector:
        return _connect(attachment_id, volume.id, connector, make)
    _reserve(attachment_id, volume, make)
    return made(attachment_id)


def _reserve(attachment_id: str, volume: AnyRow, make: dict[str, Any]) -> None:
    with writing() as tx:
        attachments.reserve(
            tx,
            attachments.locked_volume(tx, volume.id),
            attachment_id=attachment_id,
            user_id=current().user_id,
            **make,
        )


def _connect(
    attachment_id: str, volume_id: str, connector: dict[str, Any], make: dict[str, Any] | None
) -> dict[str, Any]:
    g.answer_is_secret = True  # a driver may have put the host's secret into it
    asked = {"volume_id": volume_id, "connector": connector, "make": make}
    admission.submit(CONNECT, attachment_id, asked)
    return made(attachment_id)


@answers.of(CONNECT, answers.OK)
def made(attachment_id: str) -> dict[str, Any]:
    """The answer to what has made or connected an attachment, which may be gone again by now."""
    try:
        return {"attachment": detail(find(attachment_id))}
    except NotFound:
        return {"attachment": {"id": attachment_id}}


@blp.route("/attachments/<attachment_id>", methods=["PUT"])
@blp.arguments(AttachmentUpdate)
@blp.response(200, AttachmentAnswer)
def update_attachment(body: dict[str, Any], attachment_id: str) -> dict[str, Any]:
    """Connect a reserved attachment: the answer says how its host reaches the volume."""
    row = found(attachment_id, "volume:attachment_update")
    return _connect(attachment_id, row.volume_id, body["attachment"]["connector"], None)


@blp.route("/attachments/<attachment_id>/action", methods=["POST"])
@blp.arguments(AttachmentAction)
@blp.alt_response(204, description="Attached")
def act(body: dict[str, Any], attachment_id: str) -> Response:
    """Report that the host has the volume: `os-complete` (3.44)."""
    del body
    if not at_least(44):
        raise ApiError(404, TEXTS[404])
    found(attachment_id, "volume:attachment_complete")
    with writing() as tx:
        attachment, volume = attachments.with_volume(tx, attachment_id)
        if attachment.flow_id is not None or attachment.status not in COMPLETABLE:
            raise InvalidStatus(
                attachment_id, "complete", attachment.status, COMPLETABLE, "attachment"
            )
        attachment.status = ATTACHED
        attachment.attach_time = attachment.attach_time or utcnow()
        attachments.settle(tx, volume)
    return Response(status=204)


@blp.route("/attachments/<attachment_id>", methods=["DELETE"])
@blp.response(200, AttachmentList)
def delete_attachment(attachment_id: str) -> dict[str, Any]:
    """Take the volume from its host and remove the attachment; answers with the volume's others."""
    row = found(attachment_id, "volume:attachment_delete")
    if not _remove_unconnected(attachment_id):
        admission.submit(DISCONNECT, attachment_id, {"volume_id": row.volume_id})
    with reading() as tx:
        others = attachments.of_volume(tx, row.volume_id)
    return {"attachments": [summary(other) for other in others if other.id != attachment_id]}


def _remove_unconnected(attachment_id: str) -> bool:
    """Remove an attachment that no node knows of; False when there is one to be told."""
    with writing() as tx:
        attachment, volume = attachments.with_volume(tx, attachment_id)
        unconnected = attachment.connector is None and attachment.flow_id is None
        if unconnected:
            attachments.remove(tx, attachment, volume)
    return unconnected
