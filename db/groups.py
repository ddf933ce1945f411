"""Groups: what belongs to one, what may join it, and the type that consistency groups have."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

from sqlalchemy import or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from db import holds
from db.models import (
    Flow,
    Group,
    GroupSnapshot,
    GroupType,
    GroupVolumeType,
    Snapshot,
    Volume,
    new_id,
)
from db.transitions import AVAILABLE, ERROR, IN_USE, Held, InvalidStatus, NotFound, locked

CONSISTENCY_TYPE = "default_cgsnapshot_type"
"""The group type of what is a consistency group to clients that know no groups."""

CONSISTENCY_SPECS = {"consistent_group_snapshot_enabled": "<is> True"}

G = TypeVar("G", Group, GroupSnapshot)

OWNED: dict[type[Group] | type[GroupSnapshot], str] = {
    Group: "group",
    GroupSnapshot: "group snapshot",
}

JOINABLE = frozenset({AVAILABLE, IN_USE})
LEAVABLE = JOINABLE | {ERROR}


class CannotChangeGroup(Exception):
    """A volume cannot join or leave the group."""


def backend_of(host: str | None) -> str | None:
    """`host@backend` of `host@backend#pool`, where all volumes of a group are."""
    return host.partition("#")[0] if host else None


def type_named(tx: Session, wanted: str) -> GroupType | None:
    """The group type with this id or name."""
    query = select(GroupType).where(or_(GroupType.id == wanted, GroupType.name == wanted))
    return tx.scalars(query).first()


def make_consistency_type(tx: Session) -> None:
    """Make the type of consistency groups if it is not there; of two at once one makes it."""
    dialect = tx.get_bind().dialect.name
    upsert = (postgresql if dialect == "postgresql" else sqlite).insert(GroupType)
    row = {
        "id": new_id(),
        "name": CONSISTENCY_TYPE,
        "description": "Consistency groups",
        "is_public": True,
        "group_specs": CONSISTENCY_SPECS,
    }
    tx.execute(upsert.on_conflict_do_nothing(), row)


def type_ids(tx: Session, group_id: str) -> list[str]:
    """The ids of the volume types that a group's volumes may have."""
    query = select(GroupVolumeType.volume_type_id).where(GroupVolumeType.group_id == group_id)
    return sorted(tx.scalars(query))


def volumes(tx: Session, group_id: str) -> Sequence[Volume]:
    """The volumes of a group, locked in the order of their ids."""
    query = select(Volume).where(Volume.group_id == group_id).order_by(Volume.id)
    return tx.scalars(query.with_for_update().execution_options(populate_existing=True)).all()


def snapshots(tx: Session, group_snapshot_id: str) -> Sequence[Snapshot]:
    """The snapshots of a group snapshot, in the order of their ids."""
    of_group = Snapshot.group_snapshot_id == group_snapshot_id
    return tx.scalars(select(Snapshot).where(of_group).order_by(Snapshot.id)).all()


def has_snapshots(tx: Session, group_id: str) -> bool:
    """Whether there are snapshots of the whole group."""
    query = select(GroupSnapshot.id).where(GroupSnapshot.group_id == group_id)
    return tx.scalar(query.limit(1)) is not None


def hold(tx: Session, model: type[G], row_id: str, flow: Flow) -> G:
    """Hold an available group or group snapshot of the flow's project for the flow.

    One that is being made by the flow that began this one will do, too. Raises NotFound or
    InvalidStatus.
    """
    row: G | None = tx.get(model, row_id, with_for_update={"read": True}, populate_existing=True)
    mine = row is not None and (row.project_id == flow.project_id or flow.payload.get("is_admin"))
    if row is None or not (row.visible and mine):
        raise NotFound(f"{model.__name__} {row_id} could not be found.")
    free = row.status == AVAILABLE and row.flow_id is None
    if not free and (flow.parent_id is None or row.flow_id != flow.parent_id):
        noun = OWNED[model]
        raise InvalidStatus(row_id, flow.kind, row.status, frozenset({AVAILABLE}), noun)
    holds.take(tx, flow.id, row.id)
    return row


def change_members(
    tx: Session, group_id: str, add: Iterable[str] = (), remove: Iterable[str] = ()
) -> None:
    """Let volumes join and leave a group, which is available. All of it happens, or none.

    Raises NotFound, InvalidStatus or CannotChangeGroup.
    """
    joining, leaving = sorted(set(add)), sorted(set(remove))
    if both := set(joining) & set(leaving):
        raise CannotChangeGroup(f"Volumes {', '.join(sorted(both))} are to be added and removed.")
    group = locked(tx, Group, group_id)
    if group is None or not group.visible:
        raise NotFound(f"Group {group_id} could not be found.")
    if group.flow_id is not None or group.status != AVAILABLE:
        raise InvalidStatus(group_id, "update", group.status, frozenset({AVAILABLE}), "group")
    if (holder := holds.of_any(tx, group_id)) is not None:
        raise Held(group_id, "update", group.status, "group", holder)
    types = set(type_ids(tx, group_id))
    for volume in _volumes(tx, [*joining, *leaving]):
        if volume.id in leaving:
            _leave(group, volume)
        else:
            _join(group, volume, types)


def _volumes(tx: Session, ids: Sequence[str]) -> Sequence[Volume]:
    """These volumes, locked in the order of their ids. Raises NotFound."""
    query = select(Volume).where(Volume.id.in_(ids), Volume.visible.is_(True)).order_by(Volume.id)
    found = tx.scalars(query.with_for_update().execution_options(populate_existing=True)).all()
    missing = set(ids) - {volume.id for volume in found}
    if missing:
        raise NotFound(f"Volume {', '.join(sorted(missing))} could not be found.")
    return found


def _join(group: Group, volume: Volume, types: set[str]) -> None:
    if volume.project_id != group.project_id:
        raise NotFound(f"Volume {volume.id} could not be found.")
    if volume.group_id == group.id:
        return
    reason = None
    if volume.group_id is not None:
        reason = f"it is in group {volume.group_id}"
    elif volume.volume_type_id not in types:
        reason = f"its type {volume.volume_type_id} is not one of the group's"
    elif volume.flow_id is not None or volume.status not in JOINABLE:
        reason = f"its status is '{volume.status}', and it must be {' or '.join(sorted(JOINABLE))}"
    elif backend_of(volume.host) != group.host:
        reason = "it is on another backend than the group"
    if reason is not None:
        raise CannotChangeGroup(
            f"Invalid volume: Cannot add volume {volume.id} to group {group.id} because {reason}."
        )
    volume.group_id = group.id


def _leave(group: Group, volume: Volume) -> None:
    if volume.group_id != group.id:
        raise CannotChangeGroup(
            f"Invalid volume: Cannot remove volume {volume.id} from group {group.id} because it "
            "is not in the group."
        )
    if volume.flow_id is not None or volume.status not in LEAVABLE:
        raise CannotChangeGroup(
            f"Invalid volume: Cannot remove volume {volume.id} from group {group.id} because its "
            f"status is '{volume.status}', and it must be {' or '.join(sorted(LEAVABLE))}."
        )
    volume.group_id = None
