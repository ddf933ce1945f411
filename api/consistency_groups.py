"""Consistency groups, as clients that know no groups see them: groups of one type of their own."""

from typing import Any

from flask import Response
from sqlalchemy import select

from api import admission, groups, paging
from api.blueprint import Blueprint
from api.errors import ApiError
from api.listing import listed
from api.policy import authorize
from api.schemas.consistency_groups import (
    ConsistencyGroupAnswer,
    ConsistencyGroupCopyBody,
    ConsistencyGroupCreate,
    ConsistencyGroupDeleteBody,
    ConsistencyGroupsAnswer,
    ConsistencyGroupUpdateBody,
)
from db.groups import CONSISTENCY_TYPE, make_consistency_type, type_named
from db.models import Group, GroupType, new_id
from db.transactions import reading, writing

blp = Blueprint("consistency_groups", __name__, description="Consistency groups")

OURS = select(GroupType.id).where(GroupType.name == CONSISTENCY_TYPE).scalar_subquery()
OLD_FIELDS = (
    "id",
    "name",
    "description",
    "status",
    "availability_zone",
    "created_at",
    "volume_types",
)


def find(group_id: str) -> Group:
    """The consistency group of that id that the request may see; raises ApiError (404)."""
    missing = ApiError(404, f"ConsistencyGroup {group_id} could not be found.")
    try:
        group = groups.find(group_id)
    except ApiError as error:
        raise missing from error
    with reading() as tx:
        if group.group_type_id != tx.scalar(select(OURS)):
            raise missing
    return group


def _details(found: list[Group]) -> list[dict[str, Any]]:
    return [{name: one[name] for name in OLD_FIELDS} for one in groups.details(found)]


@blp.get("/consistencygroups")
@blp.doc(parameters=paging.DOCUMENTED)
@blp.response(200, ConsistencyGroupsAnswer)
def list_consistency_groups() -> dict[str, Any]:
    """List consistency groups by id and name."""
    authorize("group:get_all")
    return _page("consistencygroups")


@blp.get("/consistencygroups/detail")
@blp.doc(parameters=paging.DOCUMENTED)
@blp.response(200, ConsistencyGroupsAnswer)
def list_consistency_groups_in_detail() -> dict[str, Any]:
    """List consistency groups with their details."""
    authorize("group:get_all")
    page = _page("consistencygroups/detail", whole=True)
    return page | {"consistencygroups": _details(page["consistencygroups"])}


def _page(path: str, *, whole: bool = False) -> dict[str, Any]:
    return listed(
        groups.wanted().where(Group.group_type_id == OURS),
        (lambda group: group) if whole else groups.summary,
        collection="consistencygroups",
        sortable=groups.SORTABLE,
        find=find,
        path=path,
    )


@blp.get("/consistencygroups/<group_id>")
@blp.response(200, ConsistencyGroupAnswer)
def show_consistency_group(group_id: str) -> dict[str, Any]:
    """Show a consistency group."""
    group = find(group_id)
    authorize("group:get", group.project_id)
    return {"consistencygroup": _details([group])[0]}


@blp.post("/consistencygroups")
@blp.arguments(ConsistencyGroupCreate)
@blp.response(202, ConsistencyGroupAnswer)
def create_consistency_group(body: dict[str, Any]) -> dict[str, Any]:
    """Create a consistency group."""
    authorize("group:create")
    given = body["consistencygroup"]
    types = [part.strip() for part in given["volume_types"].split(",") if part.strip()]
    if not types:
        raise ApiError(400, "volume_types must name at least one volume type.")
    payload = {name: given[name] for name in ("name", "description", "availability_zone")}
    return _create({**payload, "volume_types": types, "group_type": _own_type()})


@blp.post("/consistencygroups/create_from_src")
@blp.arguments(ConsistencyGroupCopyBody)
@blp.response(202, ConsistencyGroupAnswer)
def copy_consistency_group(body: dict[str, Any]) -> dict[str, Any]:
    """Create a consistency group from a snapshot of one, or from one."""
    authorize("group:create")
    given = body["copy"]
    return _create(
        {
            "name": given["name"],
            "description": given["description"],
            "group_snapshot_id": given["cgsnapshot_id"],
            "source_group_id": given["source_cgid"],
        }
    )


def _create(payload: dict[str, Any]) -> dict[str, Any]:
    group_id = admission.submit(groups.CREATE, new_id(), payload)
    return {"consistencygroup": groups.made(group_id)["group"]}


def _own_type() -> str:
    """The id of the group type of consistency groups, which the first of them makes."""
    with writing() as tx:
        make_consistency_type(tx)
        found = type_named(tx, CONSISTENCY_TYPE)
    if found is None:
        raise ApiError(404, f"Group type {CONSISTENCY_TYPE} could not be found.")
    return found.id


@blp.put("/consistencygroups/<group_id>")
@blp.put("/consistencygroups/<group_id>/update")
@blp.arguments(ConsistencyGroupUpdateBody)
@blp.response(202)
def update_consistency_group(body: dict[str, Any], group_id: str) -> Response:
    """Change name and description; let volumes join and leave."""
    authorize("group:update", find(group_id).project_id)
    groups.change(group_id, body["consistencygroup"])
    return Response(status=202)


@blp.post("/consistencygroups/<group_id>/delete")
@blp.arguments(ConsistencyGroupDeleteBody)
@blp.response(202)
def delete_consistency_group(body: dict[str, Any], group_id: str) -> Response:
    """Delete a consistency group; with `force` also one that has volumes, with them."""
    authorize("group:delete", find(group_id).project_id)
    force = body["consistencygroup"]["force"]
    admission.submit("group.delete", group_id, {"delete_volumes": force})
    return Response(status=202)
