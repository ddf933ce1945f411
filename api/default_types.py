"""The type that a project's volumes get when a request names none: /default-types (3.62)."""

from typing import Any

from flask import Response
from sqlalchemy import delete, select

from api.blueprint import Blueprint
from api.errors import ApiError
from api.microversion import since
from api.policy import authorize
from api.schemas.volume_types import DefaultTypeAnswer, DefaultTypeBody, DefaultTypesAnswer
from db import volume_types
from db.models import DefaultVolumeType
from db.transactions import reading, writing

blp = Blueprint("default_types", __name__, description="Default volume types of projects")

DEFAULT_TYPES_SINCE = 62


@blp.before_request
def _known() -> None:
    since(DEFAULT_TYPES_SINCE)


def document(default: DefaultVolumeType) -> dict[str, Any]:
    """A project's default type as the API shows it."""
    return {"project_id": default.project_id, "volume_type_id": default.volume_type_id}


@blp.get("/default-types")
@blp.response(200, DefaultTypesAnswer)
def list_default_types() -> dict[str, Any]:
    """List the projects that have a default type of their own."""
    authorize("volume_extension:default_get_all")
    with reading() as tx:
        found = tx.scalars(select(DefaultVolumeType).order_by(DefaultVolumeType.project_id)).all()
    return {"default_types": [document(one) for one in found]}


@blp.get("/default-types/<target>")
@blp.response(200, DefaultTypeAnswer)
def show_default_type(target: str) -> dict[str, Any]:
    """Show a project's default type."""
    authorize("volume_extension:default_get", target)
    with reading() as tx:
        found = tx.get(DefaultVolumeType, target)
        if found is None:
            raise _missing(target)
        return {"default_type": document(found)}


@blp.put("/default-types/<target>")
@blp.arguments(DefaultTypeBody)
@blp.response(200, DefaultTypeAnswer)
def set_default_type(body: dict[str, Any], target: str) -> dict[str, Any]:
    """Give a project a default type, by its id or name."""
    authorize("volume_extension:default_set_or_update", target)
    wanted = body["default_type"]["volume_type"]
    with writing() as tx:
        # the lock keeps the type from being deleted meanwhile
        volume_type = volume_types.named(tx, wanted, locked=True)
        if volume_type is None:
            raise ApiError(400, f"Volume type {wanted} could not be found.")
        default = tx.merge(DefaultVolumeType(project_id=target, volume_type_id=volume_type.id))
    return {"default_type": document(default)}


@blp.delete("/default-types/<target>")
@blp.response(204)
def unset_default_type(target: str) -> Response:
    """Take a project's default type away, so that everybody's is its again."""
    authorize("volume_extension:default_unset", target)
    with writing() as tx:
        gone = tx.execute(
            delete(DefaultVolumeType)
            .where(DefaultVolumeType.project_id == target)
            .returning(DefaultVolumeType.project_id)
        ).first()
        if gone is None:
            raise _missing(target)
    return Response(status=204)


def _missing(project_id: str) -> ApiError:
    return ApiError(404, f"Default type for project {project_id} not found.")
