"""Specs of a group type: /group_types/{id}/group_specs. From microversion 3.11 on."""

from functools import partial
from typing import Any

from flask import Response

from api.blueprint import Blueprint
from api.errors import ApiError
from api.group_types import find, locked
from api.microversion import since
from api.policy import authorize
from api.schemas.group_types import GroupSpec, GroupSpecAnswer, GroupSpecs, GroupSpecsAnswer
from db.transactions import writing

blp = Blueprint("group_specs", __name__, description="What a group type asks of a back end")
blp.before_request(partial(since, 11))

POLICY = "group:group_types_specs"


@blp.get("/group_types/<type_id>/group_specs")
@blp.response(200, GroupSpecsAnswer)
def list_specs(type_id: str) -> dict[str, Any]:
    """List the specs of a group type."""
    authorize(f"{POLICY}:get_all")
    return {"group_specs": find(type_id).group_specs}


@blp.get("/group_types/<type_id>/group_specs/<key>")
@blp.response(200, GroupSpecAnswer)
def show_spec(type_id: str, key: str) -> dict[str, str]:
    """Show one spec."""
    authorize(f"{POLICY}:get")
    specs = find(type_id).group_specs
    if key not in specs:
        raise _missing(type_id, key)
    return {key: specs[key]}


@blp.post("/group_types/<type_id>/group_specs")
@blp.arguments(GroupSpecs)
@blp.response(202, GroupSpecsAnswer)
def create_specs(body: dict[str, Any], type_id: str) -> dict[str, Any]:
    """Add specs, or give those that exist a new value."""
    authorize(f"{POLICY}:create")
    _merge(type_id, body["group_specs"])
    return body


@blp.put("/group_types/<type_id>/group_specs/<key>")
@blp.arguments(GroupSpec)
@blp.response(200, GroupSpecAnswer)
def update_spec(body: dict[str, Any], type_id: str, key: str) -> dict[str, str]:
    """Give one spec a value."""
    authorize(f"{POLICY}:update")
    given: dict[str, str] = body["group_specs"]
    if key not in given:
        raise ApiError(400, "Request body and URI mismatch")
    _merge(type_id, given)
    return given


@blp.delete("/group_types/<type_id>/group_specs/<key>")
@blp.response(202)
def delete_spec(type_id: str, key: str) -> Response:
    """Remove one spec."""
    authorize(f"{POLICY}:delete")
    with writing() as tx:
        found = locked(tx, type_id)
        if key not in found.group_specs:
            raise _missing(type_id, key)
        found.group_specs = {name: v for name, v in found.group_specs.items() if name != key}
    return Response(status=202)


def _merge(type_id: str, specs: dict[str, str]) -> None:
    with writing() as tx:
        found = locked(tx, type_id)
        found.group_specs = {**found.group_specs, **specs}


def _missing(type_id: str, key: str) -> ApiError:
    return ApiError(404, f"Group Type {type_id} has no specs with key {key}.")
