"""Extra specs of a volume type: /types/{id}/extra_specs."""

from typing import Any

from flask import Response

from api.blueprint import Blueprint
from api.context import current
from api.errors import ApiError
from api.policy import authorize
from api.schemas.volume_types import ExtraSpec, ExtraSpecAnswer, ExtraSpecs, ExtraSpecsAnswer
from api.volume_types import find, in_use, sees_every_spec, visible_specs
from db.transactions import reading, writing

blp = Blueprint("type_extra_specs", __name__, description="What a volume type asks of a back end")

POLICY = "volume_extension:types_extra_specs"


@blp.get("/types/<type_id>/extra_specs")
@blp.response(200, ExtraSpecsAnswer)
def list_specs(type_id: str) -> dict[str, Any]:
    """List the extra specs of a type."""
    authorize(f"{POLICY}:index")
    with reading() as tx:
        return {"extra_specs": visible_specs(find(tx, type_id, current()), sees_every_spec())}


@blp.get("/types/<type_id>/extra_specs/<key>")
@blp.response(200, ExtraSpecAnswer)
def show_spec(type_id: str, key: str) -> dict[str, str]:
    """Show one extra spec."""
    authorize(f"{POLICY}:show")
    with reading() as tx:
        specs = visible_specs(find(tx, type_id, current()), sees_every_spec())
    if key not in specs:
        raise _missing(type_id, key)
    return {key: specs[key]}


@blp.post("/types/<type_id>/extra_specs")
@blp.arguments(ExtraSpecs)
@blp.response(200, ExtraSpecsAnswer)
def create_specs(body: dict[str, Any], type_id: str) -> dict[str, Any]:
    """Add extra specs, or give those that exist a new value."""
    authorize(f"{POLICY}:create")
    _merge(type_id, body["extra_specs"])
    return body


@blp.put("/types/<type_id>/extra_specs/<key>")
@blp.arguments(ExtraSpec)
@blp.response(200, ExtraSpecAnswer)
def update_spec(body: dict[str, Any], type_id: str, key: str) -> dict[str, str]:
    """Give one extra spec a value."""
    authorize(f"{POLICY}:update")
    given: dict[str, str] = body["extra_specs"]
    if key not in given:
        raise ApiError(400, "Request body and URI mismatch")
    _merge(type_id, given)
    return given


@blp.delete("/types/<type_id>/extra_specs/<key>")
@blp.response(202)
def delete_spec(type_id: str, key: str) -> Response:
    """Remove one extra spec."""
    authorize(f"{POLICY}:delete")
    with writing() as tx:
        found = find(tx, type_id, current(), for_update=True)
        if key not in found.extra_specs:
            raise _missing(type_id, key)
        if in_use(tx, type_id):
            raise _in_use()
        found.extra_specs = {name: v for name, v in found.extra_specs.items() if name != key}
    return Response(status=202)


def _merge(type_id: str, specs: dict[str, str]) -> None:
    with writing() as tx:
        found = find(tx, type_id, current(), for_update=True)
        if in_use(tx, type_id):
            raise _in_use()
        found.extra_specs = {**found.extra_specs, **specs}


def _missing(type_id: str, key: str) -> ApiError:
    return ApiError(404, f"Volume Type {type_id} has no extra specs with key {key}.")


def _in_use() -> ApiError:
    # its volumes were placed by the specs as they are
    return ApiError(400, "Volume Type is currently in use.")
