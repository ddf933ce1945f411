"""QoS specs and the volume types that have them: /qos-specs."""

from typing import Any

from flask import Response, request
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from api import filters, links, paging
from api.blueprint import Blueprint
from api.context import current
from api.errors import ApiError
from api.listing import listed
from api.policy import authorize
from api.query import flag
from api.schemas.qos_specs import (
    NewQosSpecsBody,
    QosAssociationsAnswer,
    QosKeysBody,
    QosSpecsAnswer,
    QosSpecsChangeBody,
    QosSpecsListAnswer,
)
from api.volume_types import find as find_type
from db.models import QosSpec, VolumeType
from db.transactions import reading, writing

blp = Blueprint("qos_specs", __name__, description="QoS specs of volume types")

COLLECTION = "qos-specs"
POLICY = "volume_extension:qos_specs_manage"

SORTABLE = {
    "id": QosSpec.id,
    "name": QosSpec.name,
    "consumer": QosSpec.consumer,
    "created_at": QosSpec.created_at,
    "updated_at": QosSpec.updated_at,
}
EQUAL = {"id": QosSpec.id, "name": QosSpec.name, "consumer": QosSpec.consumer}


def document(qos: QosSpec) -> dict[str, Any]:
    """QoS specs as the API shows them."""
    return {"id": qos.id, "name": qos.name, "consumer": qos.consumer, "specs": qos.specs}


def find(tx: Session, qos_id: str, for_update: bool = False) -> QosSpec:
    """The QoS specs with this id; raises ApiError (404)."""
    found = tx.get(QosSpec, qos_id, with_for_update=for_update or None)
    if found is None:
        raise ApiError(404, f"No such qos spec {qos_id}.")
    return found


def _shown(qos: QosSpec) -> dict[str, Any]:
    return {"qos_specs": document(qos), "links": links.of(COLLECTION, qos.id)}


@blp.get("/qos-specs")
@blp.doc(parameters=paging.DOCUMENTED)
@blp.response(200, QosSpecsListAnswer)
def list_qos_specs() -> dict[str, Any]:
    """List QoS specs."""
    authorize(f"{POLICY}:get_all")
    return listed(
        select(QosSpec).where(*filters.equal_to(EQUAL)),
        document,
        collection="qos_specs",
        sortable=SORTABLE,
        find=_find_marker,
        path=COLLECTION,
    )


def _find_marker(qos_id: str) -> QosSpec:
    with reading() as tx:
        return find(tx, qos_id)


@blp.get("/qos-specs/<qos_id>")
@blp.response(200, QosSpecsAnswer)
def show_qos_specs(qos_id: str) -> dict[str, Any]:
    """Show QoS specs."""
    authorize(f"{POLICY}:get")
    with reading() as tx:
        return _shown(find(tx, qos_id))


@blp.post("/qos-specs")
@blp.arguments(NewQosSpecsBody)
@blp.response(200, QosSpecsAnswer)
def create_qos_specs(body: dict[str, Any]) -> dict[str, Any]:
    """Create QoS specs: `name`, `consumer`, and beside them the specs."""
    authorize(f"{POLICY}:create")
    qos = QosSpec(**body["qos_specs"])
    try:
        with writing() as tx:
            tx.add(qos)
    except IntegrityError as error:
        raise ApiError(409, f"Qos Specs {qos.name} already exists.") from error
    return _shown(qos)


@blp.put("/qos-specs/<qos_id>")
@blp.arguments(QosSpecsChangeBody)
@blp.response(200, QosSpecsAnswer)
def update_qos_specs(body: dict[str, Any], qos_id: str) -> dict[str, Any]:
    """Set the consumer or some of the specs; the answer has what was set."""
    authorize(f"{POLICY}:update")
    given = body["qos_specs"]
    with writing() as tx:
        found = find(tx, qos_id, for_update=True)
        found.consumer = given.get("consumer", found.consumer)
        found.specs = {**found.specs, **given["specs"]}
    consumer = {"consumer": given["consumer"]} if "consumer" in given else {}
    return {"qos_specs": consumer | given["specs"]}


@blp.put("/qos-specs/<qos_id>/delete_keys")
@blp.arguments(QosKeysBody)
@blp.response(202)
def delete_qos_keys(body: dict[str, Any], qos_id: str) -> Response:
    """Remove some of the specs; all of those that are named, or none."""
    authorize(f"{POLICY}:update")
    with writing() as tx:
        found = find(tx, qos_id, for_update=True)
        for key in body["keys"]:
            if key not in found.specs:
                raise ApiError(404, f"QoS Specs {qos_id} has no spec with key {key}.")
        found.specs = {key: v for key, v in found.specs.items() if key not in body["keys"]}
    return Response(status=202)


@blp.delete("/qos-specs/<qos_id>")
@blp.response(202)
def delete_qos_specs(qos_id: str) -> Response:
    """Delete QoS specs; those that a type has only with `force`."""
    authorize(f"{POLICY}:delete")
    force = flag("force")
    with writing() as tx:
        found = find(tx, qos_id, for_update=True)
        if not force and tx.scalar(_of(qos_id).limit(1)) is not None:
            raise ApiError(400, f"Qos Specs {qos_id} is still associated with entities.")
        _part(tx, qos_id)
        tx.delete(found)
    return Response(status=202)


@blp.get("/qos-specs/<qos_id>/associations")
@blp.response(200, QosAssociationsAnswer)
def list_associations(qos_id: str) -> dict[str, Any]:
    """List the volume types that have these QoS specs."""
    authorize(f"{POLICY}:get_all")
    with reading() as tx:
        find(tx, qos_id)
        found = tx.scalars(_of(qos_id).order_by(VolumeType.name)).all()
    return {
        "qos_associations": [
            {"association_type": "volume_type", "name": one.name, "id": one.id} for one in found
        ]
    }


@blp.get("/qos-specs/<qos_id>/associate")
@blp.response(202)
def associate(qos_id: str) -> Response:
    """Give these QoS specs to the volume type `vol_type_id`."""
    type_id = _type_of_request()
    with writing() as tx:
        find(tx, qos_id, for_update=True)
        volume_type = find_type(tx, type_id, current(), for_update=True)
        if volume_type.qos_specs_id not in (None, qos_id):
            raise ApiError(
                400,
                f"Invalid volume type: Type {type_id} is already associated with another qos "
                f"specs: {volume_type.qos_specs_id}.",
            )
        volume_type.qos_specs_id = qos_id
    return Response(status=202)


@blp.get("/qos-specs/<qos_id>/disassociate")
@blp.response(202)
def disassociate(qos_id: str) -> Response:
    """Take these QoS specs from the volume type `vol_type_id`."""
    type_id = _type_of_request()
    with writing() as tx:
        find(tx, qos_id, for_update=True)
        find_type(tx, type_id, current(), for_update=True)
        _part(tx, qos_id, VolumeType.id == type_id)
    return Response(status=202)


@blp.get("/qos-specs/<qos_id>/disassociate_all")
@blp.response(202)
def disassociate_all(qos_id: str) -> Response:
    """Take these QoS specs from every volume type."""
    authorize(f"{POLICY}:update")
    with writing() as tx:
        find(tx, qos_id, for_update=True)
        _part(tx, qos_id)
    return Response(status=202)


def _type_of_request() -> str:
    authorize(f"{POLICY}:update")
    type_id = request.args.get("vol_type_id")
    if not type_id:
        raise ApiError(400, "Volume Type id must not be None.")
    return type_id


def _of(qos_id: str) -> Any:
    return select(VolumeType).where(VolumeType.qos_specs_id == qos_id)


def _part(tx: Session, qos_id: str, *which: Any) -> None:
    having = update(VolumeType).where(VolumeType.qos_specs_id == qos_id, *which)
    tx.execute(having.values(qos_specs_id=None))
