"""Group types: /group_types. From microversion 3.11 on."""

from functools import partial
from typing import Any

from flask import Response, request
from sqlalchemy import ColumnElement, select, true
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from api import paging
from api.blueprint import Blueprint
from api.context import current, settings
from api.errors import ApiError
from api.listing import listed
from api.microversion import since
from api.policy import allowed, authorize
from api.query import parse_flag
from api.schemas.group_types import (
    GroupTypeAnswer,
    GroupTypeChangeBody,
    GroupTypesAnswer,
    NewGroupTypeBody,
)
from db import groups
from db.models import Group, GroupSnapshot, GroupType, Hold
from db.transactions import reading, writing

blp = Blueprint("group_types", __name__, description="Group types")
blp.before_request(partial(since, 11))

SORTABLE = {
    "id": GroupType.id,
    "name": GroupType.name,
    "is_public": GroupType.is_public,
    "created_at": GroupType.created_at,
    "updated_at": GroupType.updated_at,
}


def document(group_type: GroupType) -> dict[str, Any]:
    """A group type as this user sees it."""
    shown: dict[str, Any] = {
        "id": group_type.id,
        "name": group_type.name,
        "description": group_type.description,
        "is_public": group_type.is_public,
    }
    if allowed("group:access_group_types_specs"):
        shown["group_specs"] = group_type.group_specs
    return shown


def find(type_id: str) -> GroupType:
    """The group type with this id that this user may see; raises ApiError (404)."""
    with reading() as tx:
        found = tx.get(GroupType, type_id)
    if found is None or not (found.is_public or current().is_admin):
        raise not_found(type_id)
    return found


def not_found(type_id: str) -> ApiError:
    """The refusal for a group type that does not exist, or is not for this user."""
    return ApiError(404, f"Group type {type_id} could not be found.")


def locked(tx: Session, type_id: str) -> GroupType:
    """The group type with this id, locked to be changed; raises ApiError (404)."""
    found = tx.get(GroupType, type_id, with_for_update=True, populate_existing=True)
    if found is None:
        raise not_found(type_id)
    return found


def in_use(tx: Session, type_id: str) -> bool:
    """Whether a group or a group snapshot is of this type, or a flow refers to it."""
    users = (
        select(Group.id).where(Group.group_type_id == type_id),
        select(GroupSnapshot.id).where(GroupSnapshot.group_type_id == type_id),
        select(Hold.flow_id).where(Hold.resource_id == type_id),
    )
    return any(tx.scalars(query.limit(1)).first() is not None for query in users)


@blp.get("/group_types")
@blp.doc(parameters=paging.DOCUMENTED)
@blp.response(200, GroupTypesAnswer)
def list_group_types() -> dict[str, Any]:
    """List the group types."""
    return listed(
        select(GroupType).where(_public_filter()),
        document,
        collection="group_types",
        sortable=SORTABLE,
        find=find,
    )


def _public_filter() -> ColumnElement[bool]:
    """As for volume types: `none` shows all to an administrator, who sees the public ones else."""
    given = request.args.get("is_public")
    if not current().is_admin or given is None:
        return GroupType.is_public.is_(True)
    if given.strip().lower() == "none":
        return true()
    wanted = parse_flag(given)
    if wanted is None:
        raise ApiError(400, f"Invalid is_public filter {given!r}: it must be true, false or none.")
    return GroupType.is_public.is_(wanted)


@blp.get("/group_types/default")
@blp.response(200, GroupTypeAnswer)
def show_default() -> dict[str, Any]:
    """Show the type of a group that names none, which `api.default_group_type` says."""
    wanted = settings().api.default_group_type
    with reading() as tx:
        found = groups.type_named(tx, wanted) if wanted else None
    if found is None:
        raise ApiError(404, "Default group type can not be found.")
    return {"group_type": document(found)}


@blp.get("/group_types/<type_id>")
@blp.response(200, GroupTypeAnswer)
def show_group_type(type_id: str) -> dict[str, Any]:
    """Show one group type."""
    return {"group_type": document(find(type_id))}


@blp.post("/group_types")
@blp.arguments(NewGroupTypeBody)
@blp.response(202, GroupTypeAnswer)
def create_group_type(body: dict[str, Any]) -> dict[str, Any]:
    """Create a group type."""
    authorize("group:group_types:create")
    given = body["group_type"]
    group_type = GroupType(**given)
    try:
        with writing() as tx:
            tx.add(group_type)
    except IntegrityError as error:
        raise _exists(given["name"]) from error
    return {"group_type": document(group_type)}


@blp.put("/group_types/<type_id>")
@blp.arguments(GroupTypeChangeBody)
@blp.response(200, GroupTypeAnswer)
def update_group_type(body: dict[str, Any], type_id: str) -> dict[str, Any]:
    """Change a group type's name, description, or whether it is public."""
    authorize("group:group_types:update")
    changes = {key: value for key, value in body["group_type"].items() if value is not None}
    if not changes:
        raise ApiError(400, "Specify the group type's name, description or is_public.")
    try:
        with writing() as tx:
            found = locked(tx, type_id)
            for key, value in changes.items():
                setattr(found, key, value)
    except IntegrityError as error:
        raise _exists(changes["name"]) from error
    return {"group_type": document(found)}


@blp.delete("/group_types/<type_id>")
@blp.response(202)
def delete_group_type(type_id: str) -> Response:
    """Delete a group type that nothing uses."""
    authorize("group:group_types:delete")
    with writing() as tx:
        found = locked(tx, type_id)
        if in_use(tx, type_id):
            raise ApiError(400, "Target group type is still in use.")
        tx.delete(found)
    return Response(status=202)


def _exists(name: str) -> ApiError:
    return ApiError(409, f"Group Type {name} already exists.")
