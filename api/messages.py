"""Messages about requests that were accepted and then failed: /messages (3.3)."""

from typing import Any

from flask import Response
from sqlalchemy import delete, select

from api import filters, paging
from api.blueprint import Blueprint
from api.context import current
from api.errors import ApiError
from api.links import of, time_text
from api.listing import listed
from api.microversion import since
from api.policy import authorize
from api.schemas.fields import is_uuid
from api.schemas.messages import MessageAnswer, MessagesAnswer
from db.models import UserMessage, utcnow
from db.transactions import reading, writing

blp = Blueprint("messages", __name__, description="Messages about what failed")

MESSAGES_SINCE = 3

COLLECTION = "messages"

SORTABLE = {
    "id": UserMessage.id,
    "created_at": UserMessage.created_at,
    "event_id": UserMessage.event_id,
    "message_level": UserMessage.message_level,
    "request_id": UserMessage.request_id,
    "resource_type": UserMessage.resource_type,
    "resource_uuid": UserMessage.resource_uuid,
    "guaranteed_until": UserMessage.expires_at,
}

FILTERS: dict[str, filters.Filter] = {
    name: filters.equal(getattr(UserMessage, name))
    for name in ("resource_uuid", "resource_type", "event_id", "request_id", "message_level")
}
ADMIN_FILTERS: dict[str, filters.Filter] = {
    "project_id": filters.equal(UserMessage.project_id),
}


@blp.before_request
def _known() -> None:
    since(MESSAGES_SINCE)


def document(message: UserMessage) -> dict[str, Any]:
    """A message as the API shows it."""
    return {
        "id": message.id,
        "request_id": message.request_id,
        "event_id": message.event_id,
        "resource_type": message.resource_type,
        "resource_uuid": message.resource_uuid,
        "message_level": message.message_level,
        "user_message": message.user_message,
        "created_at": time_text(message.created_at),
        "guaranteed_until": time_text(message.expires_at),
        "links": of(COLLECTION, message.id),
    }


def find(message_id: str) -> UserMessage:
    """The message of that id that the request may see; raises ApiError (404)."""
    found = None
    if is_uuid(message_id):
        query = select(UserMessage).where(
            UserMessage.id == message_id, UserMessage.expires_at > utcnow()
        )
        if not current().is_admin:
            query = query.where(UserMessage.project_id == current().project_id)
        with reading() as tx:
            found = tx.scalars(query).first()
    if found is None:
        raise ApiError(404, f"Message {message_id} could not be found.")
    return found


@blp.get("/messages")
@blp.doc(parameters=paging.DOCUMENTED)
@blp.response(200, MessagesAnswer)
def list_messages() -> dict[str, Any]:
    """List the project's messages; an administrator's list has, as in Cinder, every project's."""
    authorize("message:get_all")
    mine = filters.conditions(UserMessage.project_id, FILTERS, ADMIN_FILTERS, admin_sees_all=True)
    return listed(
        select(UserMessage).where(UserMessage.expires_at > utcnow(), *mine),
        document,
        collection=COLLECTION,
        sortable=SORTABLE,
        find=find,
    )


@blp.get("/messages/<message_id>")
@blp.response(200, MessageAnswer)
def show_message(message_id: str) -> dict[str, Any]:
    """Show a message."""
    message = find(message_id)
    authorize("message:get", message.project_id)
    return {"message": document(message)}


@blp.delete("/messages/<message_id>")
@blp.response(204)
def delete_message(message_id: str) -> Response:
    """Delete a message."""
    message = find(message_id)
    authorize("message:delete", message.project_id)
    with writing() as tx:
        tx.execute(delete(UserMessage).where(UserMessage.id == message_id))
    return Response(status=204)
