"""Snapshots: list, show, create, change, delete."""

from typing import Any

from flask import Response
from sqlalchemy import update

from api import admission, answers, paging, snapshot_filters, snapshot_view, volumes
from api.blueprint import Blueprint
from api.context import current
from api.errors import ApiError
from api.listing import listed
from api.microversion import at_least
from api.paging import AnyRow
from api.policy import authorize
from api.query import flag
from api.schemas.fields import is_uuid
from api.schemas.snapshots import (
    SnapshotAnswer,
    SnapshotCreate,
    SnapshotDetailList,
    SnapshotList,
    SnapshotUpdate,
)
from db.models import Snapshot, new_id
from db.transactions import reading, writing

blp = Blueprint("snapshots", __name__, description="Snapshots")

CREATE = "snapshot.create"
IN_USE_SINCE = 66
"""From 3.66 on a snapshot of an attached volume need not be forced."""

LIST_PARAMETERS = [
    *paging.DOCUMENTED,
    *(
        {"in": "query", "name": name, "schema": {"type": "string"}}
        for name in (*snapshot_filters.FILTERS, *snapshot_filters.ADMIN_FILTERS)
    ),
    *(
        {"in": "query", "name": name, "schema": {"type": "boolean"}}
        for name in ("all_tenants", "with_count")
    ),
]


def find(snapshot_id: str) -> AnyRow:
    """The snapshot of that id that the request may see; raises ApiError (404)."""
    row = None
    if is_uuid(snapshot_id):
        query = snapshot_view.SHOWN.where(Snapshot.id == snapshot_id)
        who = current()
        if not who.is_admin:
            query = query.where(Snapshot.project_id == who.project_id)
        with reading() as tx:
            row = tx.execute(query).first()
    if row is None:
        raise not_found(snapshot_id)
    return row


def found(snapshot_id: str, rule: str) -> AnyRow:
    """As `find`, for what `rule` guards; raises ApiError (404, 403)."""
    row = find(snapshot_id)
    authorize(rule, row.project_id)
    return row


def not_found(snapshot_id: str) -> ApiError:
    """The refusal for a snapshot that does not exist, or is another project's."""
    return ApiError(404, f"Snapshot {snapshot_id} could not be found.")


@blp.route("/snapshots")
@blp.doc(parameters=LIST_PARAMETERS)
@blp.response(200, SnapshotList)
def list_snapshots() -> dict[str, Any]:
    """List snapshots."""
    return _list(snapshot_view.summary, "snapshots")


@blp.route("/snapshots/detail")
@blp.doc(parameters=LIST_PARAMETERS)
@blp.response(200, SnapshotDetailList)
def list_snapshots_in_detail() -> dict[str, Any]:
    """List snapshots with their details."""
    return _list(snapshot_view.detail, "snapshots/detail")


def _list(view: Any, path: str) -> dict[str, Any]:
    authorize("volume:get_all_snapshots")
    return listed(
        snapshot_view.SHOWN.where(*snapshot_filters.conditions()),
        view,
        collection="snapshots",
        sortable=snapshot_filters.SORTABLE,
        find=find,
        path=path,
        count=at_least(45) and flag("with_count"),
    )


@blp.route("/snapshots", methods=["POST"])
@blp.arguments(SnapshotCreate)
@blp.response(202, SnapshotAnswer)
def create_snapshot(body: dict[str, Any]) -> dict[str, Any]:
    """Take a snapshot of a volume."""
    snapshot = body["snapshot"]
    volumes.found(snapshot["volume_id"], "volume:create_snapshot")
    snapshot_id = admission.submit(
        CREATE,
        new_id(),
        {
            "volume_id": snapshot["volume_id"],
            "name": snapshot.get("name", snapshot.get("display_name")),
            "description": snapshot.get("description", snapshot.get("display_description")),
            "metadata": snapshot["metadata"] or {},
            "force": at_least(IN_USE_SINCE) or bool(snapshot["force"]),
        },
    )
    return made(snapshot_id)


@answers.of(CREATE)
def made(snapshot_id: str) -> dict[str, Any]:
    """The answer to a create: of a snapshot that is gone again by now its id alone."""
    try:
        return {"snapshot": snapshot_view.created(find(snapshot_id))}
    except ApiError:
        return {"snapshot": {"id": snapshot_id}}


@blp.route("/snapshots/<snapshot_id>")
@blp.response(200, SnapshotAnswer)
def show_snapshot(snapshot_id: str) -> dict[str, Any]:
    """Show a snapshot."""
    return {"snapshot": snapshot_view.detail(found(snapshot_id, "volume:get_snapshot"))}


@blp.route("/snapshots/<snapshot_id>", methods=["PUT"])
@blp.arguments(SnapshotUpdate)
@blp.response(200, SnapshotAnswer)
def update_snapshot(body: dict[str, Any], snapshot_id: str) -> dict[str, Any]:
    """Change name or description."""
    found(snapshot_id, "volume:update_snapshot")
    sent = body["snapshot"]
    changes = {
        column: sent[name]
        for column in ("name", "description")
        for name in (f"display_{column}", column)  # of two names for the same, the later wins
        if name in sent
    }
    with writing() as tx:
        tx.execute(
            update(Snapshot)
            .where(Snapshot.id == snapshot_id, Snapshot.visible.is_(True))
            .values(changes)
            .execution_options(synchronize_session=False)
        )
    return {"snapshot": snapshot_view.created(find(snapshot_id))}


@blp.route("/snapshots/<snapshot_id>", methods=["DELETE"])
@blp.alt_response(202, description="Accepted")
def delete_snapshot(snapshot_id: str) -> Response:
    """Delete a snapshot."""
    found(snapshot_id, "volume:delete_snapshot")
    admission.submit("snapshot.delete", snapshot_id, {"force": False})
    return Response(status=202)
