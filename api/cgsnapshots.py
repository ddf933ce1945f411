"""Snapshots of consistency groups, as clients that know no groups see them."""

from typing import Any

from flask import Response
from sqlalchemy import select

from api import admission, consistency_groups, group_snapshots, paging
from api.blueprint import Blueprint
from api.errors import ApiError
from api.listing import listed
from api.policy import authorize
from api.schemas.consistency_groups import CgsnapshotAnswer, CgsnapshotCreate, CgsnapshotsAnswer
from db.models import GroupSnapshot, new_id
from db.transactions import reading

blp = Blueprint("cgsnapshots", __name__, description="Snapshots of consistency groups")

OLD_FIELDS = ("id", "name", "description", "status", "created_at")


def find(row_id: str) -> GroupSnapshot:
    """The snapshot of that id that the request may see; raises ApiError (404)."""
    missing = ApiError(404, f"CgSnapshot {row_id} could not be found.")
    try:
        row = group_snapshots.find(row_id)
    except ApiError as error:
        raise missing from error
    with reading() as tx:
        if row.group_type_id != tx.scalar(select(consistency_groups.OURS)):
            raise missing
    return row


def summary(row: GroupSnapshot) -> dict[str, Any]:
    """The short form."""
    return {"id": row.id, "name": row.name}


def detail(row: GroupSnapshot) -> dict[str, Any]:
    """The long form."""
    shown = group_snapshots.detail(row)
    return {name: shown[name] for name in OLD_FIELDS} | {"consistencygroup_id": row.group_id}


@blp.get("/cgsnapshots")
@blp.doc(parameters=paging.DOCUMENTED)
@blp.response(200, CgsnapshotsAnswer)
def list_cgsnapshots() -> dict[str, Any]:
    """List snapshots of consistency groups by id and name."""
    return _list(summary, "cgsnapshots")


@blp.get("/cgsnapshots/detail")
@blp.doc(parameters=paging.DOCUMENTED)
@blp.response(200, CgsnapshotsAnswer)
def list_cgsnapshots_in_detail() -> dict[str, Any]:
    """List snapshots of consistency groups with their details."""
    return _list(detail, "cgsnapshots/detail")


def _list(view: Any, path: str) -> dict[str, Any]:
    authorize("group:get_all_group_snapshots")
    return listed(
        group_snapshots.wanted().where(GroupSnapshot.group_type_id == consistency_groups.OURS),
        view,
        collection="cgsnapshots",
        sortable=group_snapshots.SORTABLE,
        find=find,
        path=path,
    )


@blp.get("/cgsnapshots/<row_id>")
@blp.response(200, CgsnapshotAnswer)
def show_cgsnapshot(row_id: str) -> dict[str, Any]:
    """Show a snapshot of a consistency group."""
    row = find(row_id)
    authorize("group:get_group_snapshot", row.project_id)
    return {"cgsnapshot": detail(row)}


@blp.post("/cgsnapshots")
@blp.arguments(CgsnapshotCreate)
@blp.response(202, CgsnapshotAnswer)
def create_cgsnapshot(body: dict[str, Any]) -> dict[str, Any]:
    """Take a snapshot of every volume of a consistency group."""
    given = body["cgsnapshot"]
    group = consistency_groups.find(given["consistencygroup_id"])
    authorize("group:create_group_snapshot", group.project_id)
    payload = {"group_id": group.id, "name": given["name"], "description": given["description"]}
    row_id = admission.submit(group_snapshots.CREATE, new_id(), payload)
    return {"cgsnapshot": group_snapshots.made(row_id)["group_snapshot"]}


@blp.delete("/cgsnapshots/<row_id>")
@blp.response(202)
def delete_cgsnapshot(row_id: str) -> Response:
    """Delete a snapshot of a consistency group."""
    authorize("group:delete_group_snapshot", find(row_id).project_id)
    admission.submit("group_snapshot.delete", row_id, {})
    return Response(status=202)
