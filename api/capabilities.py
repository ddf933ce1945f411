"""What a backend can do, and what types may ask of it: /capabilities/{host}."""

from typing import Any

from sqlalchemy import select

from api.blueprint import Blueprint
from api.errors import ApiError
from api.policy import authorize
from api.schemas.capabilities import CapabilitiesAnswer
from db.models import Backend, Pool
from db.transactions import reading

blp = Blueprint("capabilities", __name__, description="Capabilities of backends")

KINDS = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array"}
"""JSON Schema's names for the types that a capability may have; an object for any other."""

NAMES = frozenset({"vendor_name", "volume_backend_name", "storage_protocol", "driver_version"})
"""Capabilities that have a field of their own."""


@blp.get("/capabilities/<host>")
@blp.response(200, CapabilitiesAnswer)
def show_capabilities(host: str) -> dict[str, Any]:
    """Show what the first pool of `node@backend`, or the pool `node@backend#pool`, last reported.

    The properties are those that extra specs of volume types are compared with.
    """
    authorize("volume_extension:capabilities")
    name, _, pool_name = host.partition("#")
    query = select(Pool, Backend).join(Backend, Backend.name == Pool.backend)
    query = query.where(Pool.backend == name, Pool.present.is_(True)).order_by(Pool.name)
    if pool_name:
        query = query.where(Pool.name == host)
    with reading() as tx:
        row = tx.execute(query).first()
    if row is None:
        raise ApiError(404, f"Backend {host} could not be found.")
    pool, backend = row
    reported = pool.capabilities
    return {
        "namespace": f"OS::Storage::Capabilities::{name}",
        "vendor_name": reported.get("vendor_name"),
        "volume_backend_name": reported.get("volume_backend_name"),
        "pool_name": pool.name.partition("#")[2] if pool_name else None,
        "driver_version": reported.get("driver_version"),
        "storage_protocol": reported.get("storage_protocol"),
        "display_name": f"{backend.driver} on {backend.host}",
        "description": None,
        "visibility": None,
        "replication_targets": [],
        "properties": {
            **_property("thin_provisioning_support", pool.thin, "Thin provisioning"),
            **_property("thick_provisioning_support", pool.thick, "Thick provisioning"),
            **{
                key: shown
                for capability in sorted(reported.keys() - NAMES)
                for key, shown in _property(
                    capability, reported[capability], capability.replace("_", " ").capitalize()
                ).items()
            },
        },
    }


def _property(name: str, value: Any, title: str) -> dict[str, dict[str, Any]]:
    kind = KINDS.get(type(value), "object")
    text = f"{title}, as an extra spec of a volume type asks for it by {name}."
    return {name: {"title": title, "description": text, "type": kind, "default": value}}
