"""Groups of volumes: /groups. From microversion 3.13 on."""

import time
from functools import partial
from typing import Any

from flask import Response
from sqlalchemy import select

from api import admission, answers, filters, paging
from api.blueprint import Blueprint
from api.context import current
from api.errors import ApiError
from api.links import time_text
from api.listing import listed
from api.microversion import at_least, since
from api.policy import allowed, authorize
from api.query import flag
from api.schemas.fields import is_uuid
from api.schemas.groups import GroupAnswer, GroupCopyBody, GroupCreate, GroupsAnswer, GroupUpdate
from db import groups
from db.models import Group, GroupVolumeType, Volume, new_id
from db.transactions import reading, writing

blp = Blueprint("groups", __name__, description="Groups of volumes")
blp.before_request(partial(since, 13))

CREATE = "group.create"

PLACED_SECONDS = 5.0
"""How long the answer waits at most for an empty group to be placed."""
LOOK_SECONDS = 0.02

SORTABLE = {
    "id": Group.id,
    "name": Group.name,
    "status": Group.status,
    "group_type": Group.group_type_id,
    "created_at": Group.created_at,
    "updated_at": Group.updated_at,
}
FILTERS: dict[str, filters.Filter] = {
    "name": filters.equal(Group.name),
    "status": filters.equal(Group.status),
    "group_type": filters.equal(Group.group_type_id),
    "availability_zone": filters.equal(Group.availability_zone),
    "source_group_id": filters.equal(Group.source_group_id),
    "group_snapshot_id": filters.equal(Group.group_snapshot_id),
}
ADMIN_FILTERS: dict[str, filters.Filter] = {
    "id": filters.equal(Group.id),
    "host": filters.equal(Group.host),
    "project_id": filters.equal(Group.project_id),
}
LIST_PARAMETERS = [
    *paging.DOCUMENTED,
    *({"in": "query", "name": name, "schema": {"type": "string"}} for name in FILTERS),
    *(
        {"in": "query", "name": name, "schema": {"type": "boolean"}}
        for name in ("all_tenants", "list_volume")
    ),
]


def summary(group: Group) -> dict[str, Any]:
    """The short form."""
    return {"id": group.id, "name": group.name}


def details(found: list[Group]) -> list[dict[str, Any]]:
    """The long form of each; their types and volumes are read for all of them at once."""
    ids = [group.id for group in found]
    with_volumes = at_least(25) and flag("list_volume")
    types: dict[str, list[str]] = {group_id: [] for group_id in ids}
    volumes: dict[str, list[str]] = {group_id: [] for group_id in ids}
    with reading() as tx:
        of_groups = GroupVolumeType.group_id.in_(ids)
        for link in tx.scalars(select(GroupVolumeType).where(of_groups)):
            types[link.group_id].append(link.volume_type_id)
        if with_volumes:
            members = select(Volume.id, Volume.group_id).where(Volume.group_id.in_(ids))
            for row in tx.execute(members.order_by(Volume.id)):
                volumes[row.group_id].append(row.id)
    shown = [_detail(group, sorted(types[group.id])) for group in found]
    if with_volumes:
        for one in shown:
            one["volumes"] = volumes[one["id"]]
    return shown


def _detail(group: Group, types: list[str]) -> dict[str, Any]:
    shown = summary(group) | {
        "description": group.description,
        "status": group.status,
        "availability_zone": group.availability_zone,
        "created_at": time_text(group.created_at),
        "group_type": group.group_type_id,
        "volume_types": types,
    }
    if at_least(14):
        shown["group_snapshot_id"] = group.group_snapshot_id
        shown["source_group_id"] = group.source_group_id
    if at_least(38):
        shown["replication_status"] = group.replication_status
    if at_least(58) and allowed("group:group_project_attribute", group.project_id):
        shown["project_id"] = group.project_id
    return shown


def find(group_id: str) -> Group:
    """The group of that id that the request may see; raises ApiError (404)."""
    found = None
    if is_uuid(group_id):
        query = select(Group).where(Group.id == group_id, Group.visible.is_(True))
        if not current().is_admin:
            query = query.where(Group.project_id == current().project_id)
        with reading() as tx:
            found = tx.scalars(query).first()
    if found is None:
        raise ApiError(404, f"Group {group_id} could not be found.")
    return found


def wanted() -> Any:
    """The groups that a list is to show; raises ApiError (400)."""
    besides = frozenset({"list_volume"})
    mine = filters.conditions(Group.project_id, FILTERS, ADMIN_FILTERS, besides)
    return select(Group).where(Group.visible.is_(True), *mine)


@blp.get("/groups")
@blp.doc(parameters=LIST_PARAMETERS)
@blp.response(200, GroupsAnswer)
def list_groups() -> dict[str, Any]:
    """List groups by id and name."""
    authorize("group:get_all")
    return listed(wanted(), summary, collection="groups", sortable=SORTABLE, find=find)


@blp.get("/groups/detail")
@blp.doc(parameters=LIST_PARAMETERS)
@blp.response(200, GroupsAnswer)
def list_groups_in_detail() -> dict[str, Any]:
    """List groups with their details."""
    authorize("group:get_all")
    page = listed(
        wanted(),
        lambda group: group,
        collection="groups",
        sortable=SORTABLE,
        find=find,
        path="groups/detail",
    )
    return page | {"groups": details(page["groups"])}


@blp.get("/groups/<group_id>")
@blp.response(200, GroupAnswer)
def show_group(group_id: str) -> dict[str, Any]:
    """Show a group; with `list_volume` (3.25) also its volumes."""
    group = find(group_id)
    authorize("group:get", group.project_id)
    return {"group": details([group])[0]}


@blp.post("/groups")
@blp.arguments(GroupCreate)
@blp.response(202, GroupAnswer)
def create_group(body: dict[str, Any]) -> dict[str, Any]:
    """Create a group on one backend."""
    authorize("group:create")
    given = body["group"]
    with reading() as tx:
        group_type = groups.type_named(tx, given["group_type"])
    if group_type is None or not (group_type.is_public or current().is_admin):
        raise ApiError(404, f"Group type {given['group_type']} could not be found.")
    return made(created({**given, "group_type": group_type.id}))


def created(payload: dict[str, Any]) -> str:
    """Create an empty group and wait until it is placed; returns its id.

    Clients create volumes in it, or change it, in the next request: Cinder takes the first while a
    group is being created. Raises ApiError, as `admission.submit` does.
    """
    group_id = admission.submit(CREATE, new_id(), payload)
    until = time.monotonic() + PLACED_SECONDS
    while time.monotonic() < until:
        with reading() as tx:
            if tx.scalar(select(Group.flow_id).where(Group.id == group_id)) is None:
                break
        time.sleep(LOOK_SECONDS)
    return group_id


@blp.post("/groups/action")
@blp.arguments(GroupCopyBody)
@blp.response(202, GroupAnswer)
def copy_group(body: dict[str, Any]) -> dict[str, Any]:
    """Create a group from a group snapshot or from a group (3.14)."""
    since(14)
    authorize("group:create")
    return made(admission.submit(CREATE, new_id(), body["copy"]))


@answers.of(CREATE)
def made(group_id: str) -> dict[str, Any]:
    """The answer to a create: of a group that is gone again by now its id alone."""
    try:
        return {"group": summary(find(group_id))}
    except ApiError:
        return {"group": {"id": group_id}}


@blp.put("/groups/<group_id>")
@blp.arguments(GroupUpdate)
@blp.response(202)
def update_group(body: dict[str, Any], group_id: str) -> Response:
    """Change name and description; let volumes join and leave."""
    authorize("group:update", find(group_id).project_id)
    change(group_id, body["group"])
    return Response(status=202)


def change(group_id: str, given: dict[str, Any]) -> None:
    """Write what a request changes of a group; raises ApiError (400)."""
    try:
        with writing() as tx:
            groups.change_members(
                tx, group_id, _ids(given.get("add_volumes")), _ids(given.get("remove_volumes"))
            )
            group = tx.get_one(Group, group_id)
            for name in ("name", "description"):
                if given.get(name) is not None:
                    setattr(group, name, given[name])
    except groups.CannotChangeGroup as error:
        raise ApiError(400, str(error)) from error


def _ids(text: str | None) -> list[str]:
    return [part.strip() for part in (text or "").split(",") if part.strip()]
