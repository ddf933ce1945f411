"""Snapshots of whole groups: /group_snapshots. From microversion 3.14 on."""

from functools import partial
from typing import Any

from flask import Response
from sqlalchemy import select

from api import admission, answers, filters, paging
from api import groups as group_views
from api.blueprint import Blueprint
from api.context import current
from api.errors import ApiError
from api.links import time_text
from api.listing import listed
from api.microversion import at_least, since
from api.policy import allowed, authorize
from api.schemas.fields import is_uuid
from api.schemas.groups import (
    GroupSnapshotAction,
    GroupSnapshotAnswer,
    GroupSnapshotCreate,
    GroupSnapshotsAnswer,
)
from db.models import GroupSnapshot, new_id
from db.overrides import reset_group_status
from db.transactions import reading, writing

blp = Blueprint("group_snapshots", __name__, description="Snapshots of groups")
blp.before_request(partial(since, 14))

CREATE = "group_snapshot.create"

SORTABLE = {
    "id": GroupSnapshot.id,
    "name": GroupSnapshot.name,
    "status": GroupSnapshot.status,
    "group_id": GroupSnapshot.group_id,
    "group_type_id": GroupSnapshot.group_type_id,
    "created_at": GroupSnapshot.created_at,
    "updated_at": GroupSnapshot.updated_at,
}
FILTERS: dict[str, filters.Filter] = {
    "id": filters.equal(GroupSnapshot.id),
    "name": filters.equal(GroupSnapshot.name),
    "status": filters.equal(GroupSnapshot.status),
    "group_id": filters.equal(GroupSnapshot.group_id),
}
ADMIN_FILTERS: dict[str, filters.Filter] = {
    "project_id": filters.equal(GroupSnapshot.project_id),
}


def summary(row: GroupSnapshot) -> dict[str, Any]:
    """The short form."""
    return {"id": row.id, "name": row.name, "group_type_id": row.group_type_id}


def detail(row: GroupSnapshot) -> dict[str, Any]:
    """The long form."""
    shown = summary(row) | {
        "group_id": row.group_id,
        "description": row.description,
        "status": row.status,
        "created_at": time_text(row.created_at),
    }
    if at_least(58) and allowed("group:group_snapshot_project_attribute", row.project_id):
        shown["project_id"] = row.project_id
    return shown


def find(row_id: str) -> GroupSnapshot:
    """The group snapshot of that id that the request may see; raises ApiError (404)."""
    found = None
    if is_uuid(row_id):
        query = select(GroupSnapshot).where(
            GroupSnapshot.id == row_id, GroupSnapshot.visible.is_(True)
        )
        if not current().is_admin:
            query = query.where(GroupSnapshot.project_id == current().project_id)
        with reading() as tx:
            found = tx.scalars(query).first()
    if found is None:
        raise ApiError(404, f"GroupSnapshot {row_id} could not be found.")
    return found


@blp.get("/group_snapshots")
@blp.doc(parameters=paging.DOCUMENTED)
@blp.response(200, GroupSnapshotsAnswer)
def list_group_snapshots() -> dict[str, Any]:
    """List group snapshots by id and name."""
    return _list(summary, "group_snapshots")


@blp.get("/group_snapshots/detail")
@blp.doc(parameters=paging.DOCUMENTED)
@blp.response(200, GroupSnapshotsAnswer)
def list_group_snapshots_in_detail() -> dict[str, Any]:
    """List group snapshots with their details."""
    return _list(detail, "group_snapshots/detail")


def wanted() -> Any:
    """The group snapshots that a list is to show; raises ApiError (400)."""
    mine = filters.conditions(GroupSnapshot.project_id, FILTERS, ADMIN_FILTERS)
    return select(GroupSnapshot).where(GroupSnapshot.visible.is_(True), *mine)


def _list(view: Any, path: str) -> dict[str, Any]:
    authorize("group:get_all_group_snapshots")
    return listed(
        wanted(),
        view,
        collection="group_snapshots",
        sortable=SORTABLE,
        find=find,
        path=path,
    )


@blp.get("/group_snapshots/<row_id>")
@blp.response(200, GroupSnapshotAnswer)
def show_group_snapshot(row_id: str) -> dict[str, Any]:
    """Show a group snapshot."""
    found = find(row_id)
    authorize("group:get_group_snapshot", found.project_id)
    return {"group_snapshot": detail(found)}


@blp.post("/group_snapshots")
@blp.arguments(GroupSnapshotCreate)
@blp.response(202, GroupSnapshotAnswer)
def create_group_snapshot(body: dict[str, Any]) -> dict[str, Any]:
    """Take a snapshot of every volume of a group."""
    given = body["group_snapshot"]
    authorize("group:create_group_snapshot", group_views.find(given["group_id"]).project_id)
    return made(admission.submit(CREATE, new_id(), given))


@answers.of(CREATE)
def made(row_id: str) -> dict[str, Any]:
    """The answer to a create: of one that is gone again by now its id alone."""
    try:
        return {"group_snapshot": summary(find(row_id))}
    except ApiError:
        return {"group_snapshot": {"id": row_id}}


@blp.delete("/group_snapshots/<row_id>")
@blp.response(202)
def delete_group_snapshot(row_id: str) -> Response:
    """Delete a group snapshot with its snapshots."""
    authorize("group:delete_group_snapshot", find(row_id).project_id)
    admission.submit("group_snapshot.delete", row_id, {})
    return Response(status=202)


@blp.post("/group_snapshots/<row_id>/action")
@blp.arguments(GroupSnapshotAction)
@blp.response(202)
def act(body: dict[str, Any], row_id: str) -> Response:
    """Set the status of a group snapshot (3.19)."""
    since(19)
    find(row_id)
    authorize("group:reset_group_snapshot_status")
    with writing() as tx:
        reset_group_status(tx, GroupSnapshot, row_id, body["reset_status"]["status"])
    return Response(status=202)
