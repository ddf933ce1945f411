"""Which projects may use a private volume type: /types/{id}/os-volume-type-access and actions."""

from typing import Any

from flask import Response, request
from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError

from api.blueprint import Blueprint
from api.context import current
from api.errors import ApiError
from api.policy import authorize
from api.schemas.volume_types import TypeAccessAnswer, TypeAction
from api.volume_types import find
from db.models import VolumeTypeAccess
from db.transactions import reading, writing

blp = Blueprint("type_access", __name__, description="Access of projects to private volume types")

POLICY = "volume_extension:volume_type_access"


@blp.get("/types/<type_id>/os-volume-type-access")
@blp.response(200, TypeAccessAnswer)
def list_access(type_id: str) -> dict[str, Any]:
    """List the projects that may use a private type."""
    authorize(f"{POLICY}:get_all_for_type")
    with reading() as tx:
        if find(tx, type_id, current()).is_public:
            raise ApiError(404, "Access list not available for public volume types.")
        projects = tx.scalars(
            select(VolumeTypeAccess.project_id)
            .where(VolumeTypeAccess.volume_type_id == type_id)
            .order_by(VolumeTypeAccess.project_id)
        ).all()
    return {
        "volume_type_access": [
            {"volume_type_id": type_id, "project_id": project} for project in projects
        ]
    }


@blp.post("/types/<type_id>/action")
@blp.arguments(TypeAction)
@blp.response(202)
def act(body: dict[str, Any], type_id: str) -> Response:
    """Let a project use a private type (addProjectAccess), or no longer (removeProjectAccess)."""
    if len(body) != 1:
        actions = ", ".join(request.get_json()) or "none"
        raise ApiError(400, f"Exactly one action must be given, not {actions}.")
    if "add" in body:
        _add(type_id, body["add"]["project"])
    else:
        _remove(type_id, body["remove"]["project"])
    return Response(status=202)


def _add(type_id: str, project: str) -> None:
    authorize(f"{POLICY}:addProjectAccess")
    try:
        with writing() as tx:
            if find(tx, type_id, current(), for_update=True).is_public:
                raise _is_public()
            tx.add(VolumeTypeAccess(volume_type_id=type_id, project_id=project))
    except IntegrityError as error:
        raise ApiError(
            409, f"Volume type access for {type_id} / {project} combination already exists."
        ) from error


def _remove(type_id: str, project: str) -> None:
    authorize(f"{POLICY}:removeProjectAccess")
    with writing() as tx:
        if find(tx, type_id, current(), for_update=True).is_public:
            raise _is_public()
        removed = tx.execute(
            delete(VolumeTypeAccess)
            .where(
                VolumeTypeAccess.volume_type_id == type_id,
                VolumeTypeAccess.project_id == project,
            )
            .returning(VolumeTypeAccess.project_id)
        ).first()
        if removed is None:
            raise ApiError(
                404, f"Volume type access not found for {type_id} / {project} combination."
            )


def _is_public() -> ApiError:
    return ApiError(400, "Type access modification is not applicable to public volume type.")
