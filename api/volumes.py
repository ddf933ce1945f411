"""Volumes: list, show, create, change, delete, summary."""

from typing import Any

from flask import Response
from sqlalchemy import func, select, update

from api import admission, answers, paging, volume_filters, volume_view
from api.blueprint import Blueprint
from api.context import current
from api.errors import ApiError
from api.listing import listed
from api.microversion import at_least
from api.paging import AnyRow, AnySelect
from api.policy import allowed, authorize
from api.query import flag
from api.schemas.fields import is_uuid
from api.schemas.volumes import (
    Totals,
    VolumeAnswer,
    VolumeCreate,
    VolumeDetailList,
    VolumeList,
    VolumeUpdate,
)
from api.volume_made import as_made
from db.models import Volume, new_id
from db.transactions import reading, writing
from db.transitions import InvalidStatus

blp = Blueprint("volumes", __name__, description="Volumes")

CREATE = "volume.create"
MAINTENANCE = "maintenance"

LIST_PARAMETERS = [
    *paging.DOCUMENTED,
    *(
        {"in": "query", "name": name, "schema": {"type": "string"}}
        for name in (*volume_filters.FILTERS, *volume_filters.ADMIN_FILTERS)
    ),
    *(
        {"in": "query", "name": name, "schema": {"type": "boolean"}}
        for name in ("all_tenants", "with_count")
    ),
]


def find(volume_id: str) -> AnyRow:
    """The volume of that id that the request may see; raises ApiError (404)."""
    row = None
    if is_uuid(volume_id):
        with reading() as tx:
            row = tx.execute(_mine(volume_view.SHOWN, volume_id)).first()
    if row is None:
        raise not_found(volume_id)
    return row


def found(volume_id: str, rule: str) -> AnyRow:
    """As `find`, for what `rule` guards; raises ApiError (404, 403)."""
    row = find(volume_id)
    authorize(rule, row.project_id)
    return row


def not_found(volume_id: str) -> ApiError:
    """The refusal for a volume that does not exist, or is another project's."""
    return ApiError(404, f"Volume {volume_id} could not be found.")


def _mine(query: AnySelect, volume_id: str) -> AnySelect:
    query = query.where(Volume.id == volume_id)
    who = current()
    return query if who.is_admin else query.where(Volume.project_id == who.project_id)


@blp.route("/volumes")
@blp.doc(parameters=LIST_PARAMETERS)
@blp.response(200, VolumeList)
def list_volumes() -> dict[str, Any]:
    """List volumes by id and name."""
    authorize("volume:get_all")
    return _list(volume_view.summary, "volumes")


@blp.route("/volumes/detail")
@blp.doc(parameters=LIST_PARAMETERS)
@blp.response(200, VolumeDetailList)
def list_volumes_in_detail() -> dict[str, Any]:
    """List volumes with their details."""
    authorize("volume:get_all")
    answer = _list(volume_view.detail, "volumes/detail")
    volume_view.complete(answer["volumes"])
    return answer


def _list(view: Any, path: str) -> dict[str, Any]:
    return listed(
        volume_view.SHOWN.where(*volume_filters.conditions()),
        view,
        collection="volumes",
        sortable=volume_filters.SORTABLE,
        find=find,
        path=path,
        count=at_least(45) and flag("with_count"),
    )


@blp.route("/volumes/summary")
@blp.response(200, Totals)
def summarize() -> dict[str, Any]:
    """Count and size of the volumes; from 3.36 on also the metadata that they have."""
    if not at_least(12):
        raise not_found("summary")
    authorize("volume:get_all")
    wanted = volume_view.SHOWN.where(*volume_filters.conditions()).subquery()
    totals = select(func.count(), func.coalesce(func.sum(wanted.c.size), 0))
    with reading() as tx:
        count, size = tx.execute(totals.select_from(wanted)).one()
        summary: dict[str, Any] = {"total_count": count, "total_size": size}
        if at_least(36):
            summary["metadata"] = _distinct(tx.scalars(select(wanted.c.meta)).all())
    return {"volume-summary": summary}


def _distinct(all_metadata: Any) -> dict[str, list[str]]:
    values: dict[str, list[str]] = {}
    for metadata in all_metadata:
        for key, value in metadata.items():
            if value not in values.setdefault(key, []):
                values[key].append(value)
    return values


@blp.route("/volumes", methods=["POST"])
@blp.arguments(VolumeCreate)
@blp.response(202, VolumeAnswer)
def create_volume(body: dict[str, Any]) -> dict[str, Any]:
    """Create a volume."""
    authorize("volume:create")
    volume = body["volume"]
    _refuse_missing_sources(volume)
    volume_id = admission.submit(
        CREATE,
        new_id(),
        {
            "size_gib": volume["size"],
            "name": volume.get("name", volume.get("display_name")),
            "description": volume.get("description", volume.get("display_description")),
            "volume_type": volume["volume_type"] or None,
            "availability_zone": volume["availability_zone"] or None,
            "metadata": volume["metadata"] or {},
            "snapshot_id": volume["snapshot_id"],
            "source_volid": volume["source_volid"],
            "image_ref": volume["image_id"] or volume["image_ref"] or None,
            "scheduler_hints": body["scheduler_hints"] or {},
            "group_id": volume["consistencygroup_id"]
            or (volume["group_id"] if at_least(13) else None),
            "may_multiattach": allowed("volume:multiattach"),
        },
    )
    return made(volume_id)


@answers.of(CREATE)
def made(volume_id: str) -> dict[str, Any]:
    """The answer to a create, though the volume may be gone again by now."""
    try:
        row = find(volume_id)
    except ApiError:
        row = as_made(volume_id)
    return {"volume": volume_view.created(row)}


def _refuse_missing_sources(volume: dict[str, Any]) -> None:
    """What no request can have made yet does not exist."""
    if at_least(47) and volume["backup_id"]:
        raise ApiError(404, f"Backup {volume['backup_id']} could not be found.")


@blp.route("/volumes/<volume_id>")
@blp.response(200, VolumeAnswer)
def show_volume(volume_id: str) -> dict[str, Any]:
    """Show a volume."""
    return _shown(found(volume_id, "volume:get"))


@blp.route("/volumes/<volume_id>", methods=["PUT"])
@blp.arguments(VolumeUpdate)
@blp.response(200, VolumeAnswer)
def update_volume(body: dict[str, Any], volume_id: str) -> dict[str, Any]:
    """Change name, description or metadata."""
    refuse_in_maintenance(found(volume_id, "volume:update"), "update")
    sent = body["volume"]
    changes: dict[str, Any] = {}
    for column, names in (
        ("name", ("display_name", "name")),
        ("description", ("display_description", "description")),
        ("meta", ("metadata",)),
    ):
        for name in names:  # of two names for the same, the later wins
            if name in sent:
                changes[column] = sent[name]
    if changes:
        change(volume_id, **changes)
    return _shown(find(volume_id))


def _shown(row: AnyRow) -> dict[str, Any]:
    volume = volume_view.detail(row)
    volume_view.complete([volume])
    return {"volume": volume}


def refuse_in_maintenance(row: AnyRow, action: str) -> None:
    """Raise InvalidStatus for a volume that an administrator has taken out of service."""
    if row.status == MAINTENANCE:
        raise InvalidStatus(row.id, action, row.status, frozenset({f"not {MAINTENANCE}"}))


def change(volume_id: str, **columns: Any) -> None:
    """Write columns that no flow reads or writes, such as the name; raises ApiError (404)."""
    with writing() as tx:
        changed = tx.execute(
            _mine_to_change(volume_id)
            .values(columns)
            .returning(Volume.id)
            .execution_options(synchronize_session=False)
        ).first()
    if changed is None:
        raise not_found(volume_id)


def _mine_to_change(volume_id: str) -> Any:
    statement = update(Volume).where(Volume.id == volume_id, Volume.visible.is_(True))
    who = current()
    return statement if who.is_admin else statement.where(Volume.project_id == who.project_id)


@blp.route("/volumes/<volume_id>", methods=["DELETE"])
@blp.alt_response(202, description="Accepted")
def delete_volume(volume_id: str) -> Response:
    """Delete a volume; `cascade` with its snapshots, `force` (3.23) in any status."""
    cascade = flag("cascade")
    force = at_least(23) and flag("force")
    found(volume_id, "volume:force_delete" if force else "volume:delete")
    admission.submit("volume.delete", volume_id, {"force": force, "cascade": cascade})
    return Response(status=202)
