"""Volume types: /types."""

import ast
from collections.abc import Iterable
from typing import Any

from flask import Response, request
from sqlalchemy import ColumnElement, or_, select, true
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from api import links, paging
from api.blueprint import Blueprint
from api.context import RequestContext, current, settings
from api.errors import ApiError
from api.microversion import at_least
from api.paging import AnySelect
from api.policy import allowed, authorize
from api.query import parse_flag
from api.schemas.volume_types import (
    NewTypeBody,
    TypeChangeBody,
    VolumeTypeAnswer,
    VolumeTypesAnswer,
)
from db import quota_limits, volume_types
from db.models import (
    DEFAULT_TYPE_NAME,
    DefaultVolumeType,
    GroupVolumeType,
    Hold,
    Snapshot,
    Volume,
    VolumeType,
)
from db.transactions import reading, writing
from db.volume_types import usable_by

blp = Blueprint("volume_types", __name__, description="Volume types")

USER_VISIBLE_SPECS = ("RESKEY:availability_zones", "multiattach", "replication_enabled")
"""Extra specs that say something to a user, as Cinder shows them; others may tell of the site."""

SORTABLE = {
    "id": VolumeType.id,
    "name": VolumeType.name,
    "is_public": VolumeType.is_public,
    "created_at": VolumeType.created_at,
    "updated_at": VolumeType.updated_at,
}


def documents(volume_types: Iterable[VolumeType]) -> list[dict[str, Any]]:
    """Types as this user sees them."""
    sees_specs = allowed("volume_extension:access_types_extra_specs")
    sees_qos = allowed("volume_extension:access_types_qos_specs_id")
    all_specs = sees_every_spec()
    result = []
    for one in volume_types:
        shown = {
            "id": one.id,
            "name": one.name,
            "is_public": one.is_public,
            "os-volume-type-access:is_public": one.is_public,
            "description": one.description,
        }
        if sees_specs:
            shown["extra_specs"] = visible_specs(one, all_specs)
        if sees_qos:
            shown["qos_specs_id"] = one.qos_specs_id
        result.append(shown)
    return result


def document(volume_type: VolumeType) -> dict[str, Any]:
    """A type as this user sees it."""
    return documents([volume_type])[0]


def sees_every_spec() -> bool:
    """Whether this user sees more than `USER_VISIBLE_SPECS`."""
    return allowed("volume_extension:types_extra_specs:read_sensitive")


def visible_specs(volume_type: VolumeType, every: bool) -> dict[str, str]:
    """The extra specs that a user sees, who sees all or only those for users."""
    specs = volume_type.extra_specs
    if every:
        return dict(specs)
    return {key: specs[key] for key in USER_VISIBLE_SPECS if key in specs}


def find(
    tx: Session, type_id: str, context: RequestContext, for_update: bool = False
) -> VolumeType:
    """The type with this id; raises ApiError (404) where there is none that this user may see."""
    query = select(VolumeType).where(
        VolumeType.id == type_id,
        true() if context.is_admin else usable_by(context.project_id),
    )
    found = tx.scalars(query.with_for_update() if for_update else query).first()
    if found is None:
        raise ApiError(404, f"Volume type {type_id} could not be found.")
    return found


def in_use(tx: Session, type_id: str) -> bool:
    """Whether a volume or snapshot is of this type or charged for it, or a flow refers to it.

    With the type's row locked for update it stays so: who makes one locks that row, too.
    """
    users: tuple[AnySelect, ...] = (
        *(
            select(model.id).where(
                or_(model.volume_type_id == type_id, model.charged_type_id == type_id)
            )
            for model in (Volume, Snapshot)
        ),
        select(Hold.flow_id).where(Hold.resource_id == type_id),
    )
    return any(tx.scalars(query.limit(1)).first() is not None for query in users)


@blp.get("/types")
@blp.response(200, VolumeTypesAnswer)
def list_types() -> dict[str, Any]:
    """List the types that the project may use; an administrator may ask for others."""
    authorize("volume_extension:type_get_all")
    context = current()
    page = paging.requested(SORTABLE)
    query = select(VolumeType).where(*_filters(context))
    with reading() as tx:
        marker = find(tx, page.marker, context) if page.marker else None
        query = paging.paged(query, page, SORTABLE, ("created_at", "id"), marker)
        found = tx.scalars(query).all()
    answer: dict[str, Any] = {"volume_types": documents(found)}
    if page.is_full(len(found)):
        answer["volume_type_links"] = links.next_page("types", found[-1].id)
    return answer


def _filters(context: RequestContext) -> list[ColumnElement[bool]]:
    conditions = [_public_filter(context)]
    if at_least(52):
        conditions += [
            column == request.args[column.key]
            for column in (VolumeType.name, VolumeType.description)
            if column.key in request.args
        ]
        if "extra_specs" in request.args and context.is_admin:
            conditions += [
                VolumeType.extra_specs[key].as_string() == value
                for key, value in _specs_filter(request.args["extra_specs"]).items()
            ]
    return conditions


def _public_filter(context: RequestContext) -> ColumnElement[bool]:
    """As in Cinder: `none` shows all to an administrator; without a wish, what one may use."""
    given = request.args.get("is_public")
    if not context.is_admin or given is None:
        return usable_by(context.project_id)
    if given.strip().lower() == "none":
        return true()
    wanted = parse_flag(given)
    if wanted is None:
        raise ApiError(400, f"Invalid is_public filter {given!r}: it must be true, false or none.")
    return usable_by(context.project_id) if wanted else VolumeType.is_public.is_(False)


def _specs_filter(text: str) -> dict[str, str]:
    try:
        specs = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        specs = None
    if not isinstance(specs, dict) or not all(
        isinstance(part, str) for item in specs.items() for part in item
    ):
        raise ApiError(400, f"Invalid extra_specs filter {text!r}: such as {{'key': 'value'}}.")
    return specs


@blp.get("/types/default")
@blp.response(200, VolumeTypeAnswer)
def show_default() -> dict[str, Any]:
    """Show the type of a volume that names none."""
    authorize("volume_extension:type_get")
    with reading() as tx:
        wanted = volume_types.default_of(tx, current().project_id)
        wanted = wanted or settings().api.default_volume_type
        found = volume_types.named(tx, wanted)
    if found is None:
        raise ApiError(404, "Default volume type can not be found.")
    return {"volume_type": document(found)}


@blp.get("/types/<type_id>")
@blp.response(200, VolumeTypeAnswer)
def show_type(type_id: str) -> dict[str, Any]:
    """Show one type."""
    authorize("volume_extension:type_get")
    with reading() as tx:
        return {"volume_type": document(find(tx, type_id, current()))}


@blp.post("/types")
@blp.arguments(NewTypeBody)
@blp.response(200, VolumeTypeAnswer)
def create_type(body: dict[str, Any]) -> dict[str, Any]:
    """Create a type."""
    authorize("volume_extension:type_create")
    given = body["volume_type"]
    volume_type = VolumeType(
        name=given["name"],
        description=given.get("description"),
        is_public=given["is_public"],
        extra_specs=given["extra_specs"],
    )
    _save(volume_type)
    return {"volume_type": document(volume_type)}


@blp.put("/types/<type_id>")
@blp.arguments(TypeChangeBody)
@blp.response(200, VolumeTypeAnswer)
def update_type(body: dict[str, Any], type_id: str) -> dict[str, Any]:
    """Change a type's name, description, or whether it is public."""
    authorize("volume_extension:type_update")
    given = body["volume_type"]
    changes = {key: value for key, value in given.items() if value is not None}
    if not changes:
        raise ApiError(400, "Specify the volume type's name, description or is_public.")
    return {"volume_type": document(_change(type_id, changes))}


def _change(type_id: str, changes: dict[str, Any]) -> VolumeType:
    try:
        with writing() as tx:
            found = find(tx, type_id, current(), for_update=True)
            if "name" in changes and changes["name"] != found.name and _is_default(found):
                # the settings find it by name: under another one, no volume could be created
                raise ApiError(400, f"The default volume type {found.name!r} keeps its name.")
            for key, value in changes.items():
                setattr(found, key, value)
    except IntegrityError as error:
        raise _exists(changes["name"]) from error
    return found


def _save(volume_type: VolumeType) -> None:
    try:
        with writing() as tx:
            tx.add(volume_type)
    except IntegrityError as error:
        raise _exists(volume_type.name) from error


def _exists(name: str) -> ApiError:
    return ApiError(409, f"Volume Type {name} already exists.")


def _is_default(volume_type: VolumeType) -> bool:
    return volume_type.name in (DEFAULT_TYPE_NAME, settings().api.default_volume_type)


@blp.delete("/types/<type_id>")
@blp.response(202)
def delete_type(type_id: str) -> Response:
    """Delete a type that nothing uses, with its quota limits."""
    authorize("volume_extension:type_delete")
    with writing() as tx:
        # the lock keeps new volumes and holds of this type out until the commit
        found = find(tx, type_id, current(), for_update=True)
        if _is_default(found):
            raise ApiError(
                400, f"The volume type {found.name} is a default volume type: it cannot be deleted."
            )
        _refuse_a_projects_default(tx, found)
        of_group = select(GroupVolumeType.group_id).where(GroupVolumeType.volume_type_id == type_id)
        if in_use(tx, type_id) or tx.scalar(of_group.limit(1)) is not None:
            raise ApiError(400, "Target volume type is still in use.")
        quota_limits.drop_type(tx, type_id)
        tx.delete(found)
    return Response(status=202)


def _refuse_a_projects_default(tx: Session, volume_type: VolumeType) -> None:
    of_project = select(DefaultVolumeType.project_id).where(
        DefaultVolumeType.volume_type_id == volume_type.id
    )
    if tx.scalar(of_project.limit(1)) is not None:
        raise ApiError(
            400,
            f"The volume type {volume_type.name} is the default volume type of a project: it "
            "cannot be deleted.",
        )
