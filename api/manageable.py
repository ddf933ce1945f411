"""Volumes and snapshots that are on the storage already: listed, and taken over.

Under /manageable_volumes and /manageable_snapshots from 3.8 on, and under their older names.
"""

import ast
import json
from collections.abc import Mapping
from typing import Any

from flask import request
from sqlalchemy import select

from api import admission, answers, paging, snapshot_view, snapshots, volume_view, volumes
from api.blueprint import Blueprint
from api.errors import TEXTS, ApiError
from api.microversion import at_least
from api.policy import authorize
from api.schemas.manageable import (
    ManageableSnapshots,
    ManageableVolumes,
    SnapshotManage,
    VolumeManage,
)
from api.schemas.snapshots import SnapshotAnswer
from api.schemas.volumes import VolumeAnswer
from db import journal
from db.models import Flow, new_id
from db.transactions import reading

blp = Blueprint("manageable", __name__, description="What is on the storage already")

LIST_PARAMETERS = [
    *paging.DOCUMENTED,
    {"in": "query", "name": "host", "schema": {"type": "string"}, "description": "node@backend"},
]

Found = list[dict[str, Any]]

ORDERS: Mapping[str, Any] = {
    "reference": lambda one: sorted(one["reference"].items()),
    "size": lambda one: one["size_gib"],
}
"""By what clients may sort."""


# -- volumes ---------------------------------------------------------------------------------------


@blp.get("/manageable_volumes")
@blp.doc(parameters=LIST_PARAMETERS)
@blp.response(200, ManageableVolumes)
def list_volumes() -> dict[str, Any]:
    """List what a backend holds that could be managed as volumes."""
    _refuse_before_3_8()
    return _volumes(detail=False)


@blp.get("/manageable_volumes/detail")
@blp.doc(parameters=LIST_PARAMETERS)
@blp.response(200, ManageableVolumes)
def list_volumes_in_detail() -> dict[str, Any]:
    """List it with why something cannot be managed."""
    _refuse_before_3_8()
    return _volumes(detail=True)


@blp.get("/os-volume-manage")
@blp.doc(parameters=LIST_PARAMETERS)
@blp.response(200, ManageableVolumes)
def list_volumes_by_old_name() -> dict[str, Any]:
    """List what a backend holds that could be managed as volumes."""
    return _volumes(detail=False)


@blp.get("/os-volume-manage/detail")
@blp.doc(parameters=LIST_PARAMETERS)
@blp.response(200, ManageableVolumes)
def list_volumes_by_old_name_in_detail() -> dict[str, Any]:
    """List it with why something cannot be managed."""
    return _volumes(detail=True)


def _volumes(*, detail: bool) -> dict[str, Any]:
    authorize("volume_extension:list_manageable")
    return {"manageable-volumes": [_shown(one, detail=detail) for one in _listed("volumes")]}


@blp.post("/manageable_volumes")
@blp.arguments(VolumeManage)
@blp.response(202, VolumeAnswer)
def manage_volume(body: dict[str, Any]) -> dict[str, Any]:
    """Take a volume over, under a name of ours, with all that is in it."""
    _refuse_before_3_8()
    return _manage_volume(body["volume"])


@blp.post("/os-volume-manage")
@blp.arguments(VolumeManage)
@blp.response(202, VolumeAnswer)
def manage_volume_by_old_name(body: dict[str, Any]) -> dict[str, Any]:
    """Take a volume over, under a name of ours, with all that is in it."""
    return _manage_volume(body["volume"])


def _manage_volume(asked: dict[str, Any]) -> dict[str, Any]:
    authorize("volume_extension:volume_manage")
    host = _one_host(asked.get("host"), asked.get("cluster") if at_least(16) else None)
    payload = {
        "host": host,
        "reference": asked["ref"],
        "name": asked.get("name"),
        "description": asked.get("description"),
        "volume_type": asked.get("volume_type") or None,
        "availability_zone": asked.get("availability_zone") or None,
        "metadata": asked.get("metadata") or {},
        "bootable": bool(asked.get("bootable")),
    }
    return managed_volume(admission.submit("volume.manage", new_id(), payload))


@answers.of("volume.manage")
def managed_volume(volume_id: str) -> dict[str, Any]:
    """The answer to a request that manages a volume."""
    return {"volume": volume_view.detail(volumes.find(volume_id))}


# -- snapshots -------------------------------------------------------------------------------------


@blp.get("/manageable_snapshots")
@blp.doc(parameters=LIST_PARAMETERS)
@blp.response(200, ManageableSnapshots)
def list_snapshots() -> dict[str, Any]:
    """List what a backend holds that could be managed as snapshots."""
    _refuse_before_3_8()
    return _snapshots(detail=False)


@blp.get("/manageable_snapshots/detail")
@blp.doc(parameters=LIST_PARAMETERS)
@blp.response(200, ManageableSnapshots)
def list_snapshots_in_detail() -> dict[str, Any]:
    """List it with why something cannot be managed."""
    _refuse_before_3_8()
    return _snapshots(detail=True)


@blp.get("/os-snapshot-manage")
@blp.doc(parameters=LIST_PARAMETERS)
@blp.response(200, ManageableSnapshots)
def list_snapshots_by_old_name() -> dict[str, Any]:
    """List what a backend holds that could be managed as snapshots."""
    return _snapshots(detail=False)


@blp.get("/os-snapshot-manage/detail")
@blp.doc(parameters=LIST_PARAMETERS)
@blp.response(200, ManageableSnapshots)
def list_snapshots_by_old_name_in_detail() -> dict[str, Any]:
    """List it with why something cannot be managed."""
    return _snapshots(detail=True)


def _snapshots(*, detail: bool) -> dict[str, Any]:
    authorize("snapshot_extension:list_manageable")
    return {
        "manageable-snapshots": [
            _shown(one, detail=detail) | {"source_reference": {}} for one in _listed("snapshots")
        ]
    }


@blp.post("/manageable_snapshots")
@blp.arguments(SnapshotManage)
@blp.response(202, SnapshotAnswer)
def manage_snapshot(body: dict[str, Any]) -> dict[str, Any]:
    """Take a snapshot of a managed volume over, under a name of ours."""
    _refuse_before_3_8()
    return _manage_snapshot(body["snapshot"])


@blp.post("/os-snapshot-manage")
@blp.arguments(SnapshotManage)
@blp.response(202, SnapshotAnswer)
def manage_snapshot_by_old_name(body: dict[str, Any]) -> dict[str, Any]:
    """Take a snapshot of a managed volume over, under a name of ours."""
    return _manage_snapshot(body["snapshot"])


def _manage_snapshot(asked: dict[str, Any]) -> dict[str, Any]:
    authorize("snapshot_extension:snapshot_manage")
    volumes.find(asked["volume_id"])
    payload = {
        "volume_id": asked["volume_id"],
        "reference": asked["ref"],
        "name": asked.get("name"),
        "description": asked.get("description"),
        "metadata": asked.get("metadata") or {},
    }
    return managed_snapshot(admission.submit("snapshot.manage", new_id(), payload))


@answers.of("snapshot.manage")
def managed_snapshot(snapshot_id: str) -> dict[str, Any]:
    """The answer to a request that manages a snapshot."""
    return {"snapshot": snapshot_view.detail(snapshots.find(snapshot_id))}


# -- what both have --------------------------------------------------------------------------------


def _refuse_before_3_8() -> None:
    if not at_least(8):
        raise ApiError(404, TEXTS[404])


def _one_host(host: str | None, cluster: str | None) -> str:
    """The host of two of which one must be given; raises ApiError (400, 404)."""
    if bool(host) == bool(cluster):
        raise ApiError(
            400, "Invalid input received: One and only one of cluster and host must be set."
        )
    if not host:
        raise ApiError(404, f"Cluster {cluster} could not be found.")
    return host


def _listed(what: str) -> Found:
    """The page of what the backend holds that the request asks for; the node is asked now."""
    args = request.args
    host = _one_host(args.get("host"), args.get("cluster") if at_least(17) else None)
    page = paging.requested(dict.fromkeys(ORDERS), default="reference")
    asked = new_id()
    admission.submit("node", asked, {"host": host, "what": what})
    with reading() as tx:
        flow = tx.scalars(select(Flow).where(Flow.resource_id == asked)).one()
        found: Found = journal.results(tx, flow)["manageable"]
    for key, descends in reversed(page.sort):
        found.sort(key=ORDERS[key], reverse=descends)
    return _page(found, page)


def _page(found: Found, page: paging.Page) -> Found:
    """The part of `found` behind the marker, which is the reference of an object."""
    if page.marker is not None:
        marker = _literal(page.marker)
        places = [n for n, one in enumerate(found) if one["reference"] == marker]
        if not places:
            raise ApiError(400, f"Invalid input received: there is no {page.marker} to go on from.")
        found = found[places[0] + 1 :]
    return found[page.offset : page.offset + page.limit]


def _literal(text: str) -> Any:
    """An object in JSON, or as Python writes a dictionary, which is what clients send."""
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None


def _shown(one: dict[str, Any], *, detail: bool) -> dict[str, Any]:
    shown = {
        "reference": one["reference"],
        "size": one["size_gib"],
        "safe_to_manage": one["reason"] is None,
    }
    if detail:
        shown |= {
            "reason_not_safe": one["reason"],
            "cinder_id": _identifier(one["object"]),
            "extra_info": None,
        }
    return shown


def _identifier(object_name: str | None) -> str | None:
    """The id of the volume or snapshot that has this name on its back end."""
    if object_name is None:
        return None
    return object_name.partition("-")[2].partition(".")[0]
