"""What a volume is made from: a snapshot, or another volume. Both stay where they are meanwhile."""

from dataclasses import asdict, dataclass
from typing import Any

from db import holds
from db.models import Flow, Snapshot, Volume, VolumeType
from db.transitions import AVAILABLE, IN_USE
from tasks.definition import Run
from tasks.message import Source
from tasks.refusals import Refused

BACKEND_NAME = "volume_backend_name"


@dataclass(frozen=True, slots=True)
class Origin:
    """The source of a volume as it stood when the request was looked at; size in GiB."""

    kind: str
    id: str
    object: str
    size_gib: int
    pool: str
    """`host@backend#pool`: the new volume is made there, since no other back end has the data."""
    type_id: str | None
    availability_zone: str | None
    bootable: bool
    image_meta: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """How the flow records it."""
        return asdict(self)


def find(run: Run) -> Origin | None:
    """What the request names as its source, held for the flow; None where it names none.

    Raises Refused: 404 for what is not there or another project's, 400 for a status or place that
    nothing can be made from.
    """
    asked = run.flow.payload
    named = [name for name in ("snapshot_id", "source_volid", "image_ref") if asked.get(name)]
    if len(named) > 1:
        raise Refused(400, f"Invalid input received: May specify only one of {', '.join(named)}.")
    if asked.get("snapshot_id"):
        return _from_snapshot(run, asked["snapshot_id"])
    if asked.get("source_volid"):
        return _from_volume(run, asked["source_volid"])
    return None


def _from_snapshot(run: Run, snapshot_id: str) -> Origin:
    snapshot = run.tx.get(
        Snapshot, snapshot_id, with_for_update={"read": True}, populate_existing=True
    )
    if snapshot is None or not _sees(run.flow, snapshot):
        raise Refused(404, f"Snapshot {snapshot_id} could not be found.")
    _refuse_status("snapshot", snapshot.status, (AVAILABLE,))
    holds.take(run.tx, run.flow.id, snapshot.id)
    volume = run.tx.get_one(Volume, snapshot.volume_id)
    return _origin("snapshot", snapshot, volume, snapshot.volume_type_id)


def _from_volume(run: Run, volume_id: str) -> Origin:
    volume = run.tx.get(Volume, volume_id, with_for_update={"read": True}, populate_existing=True)
    if volume is None or not _sees(run.flow, volume):
        raise Refused(404, f"Volume {volume_id} could not be found.")
    _refuse_status("source volume", volume.status, (AVAILABLE, IN_USE))
    holds.take(run.tx, run.flow.id, volume.id)
    return _origin("volume", volume, volume, volume.volume_type_id)


def _sees(flow: Flow, row: Volume | Snapshot) -> bool:
    mine = row.project_id == flow.project_id or bool(flow.payload.get("is_admin"))
    return row.visible and mine


def _refuse_status(what: str, status: str, allowed: tuple[str, ...]) -> None:
    if status not in allowed:
        noun = "snapshot" if what == "snapshot" else "volume"
        raise Refused(
            400,
            f"Invalid {noun}: Originating {what} status must be one of '{', '.join(allowed)}' "
            f"values, not '{status}'.",
        )


def _origin(kind: str, row: Volume | Snapshot, volume: Volume, type_id: str | None) -> Origin:
    if volume.host is None:
        raise Refused(400, f"Invalid volume: Volume {volume.id} is on no backend.")
    return Origin(
        kind=kind,
        id=row.id,
        object=row.object_name,
        size_gib=row.size,
        pool=volume.host,
        type_id=type_id,
        availability_zone=volume.availability_zone,
        bootable=volume.bootable,
        image_meta=volume.image_meta,
    )


def size(asked: int | None, origin: Origin | None) -> int:
    """The size of the new volume in GiB: as asked, else the source's. Raises Refused (400)."""
    if origin is None:
        if asked is None:
            raise Refused(400, "Invalid input received: a volume needs a size.")
        return asked
    if asked is None or asked >= origin.size_gib:
        return asked or origin.size_gib
    original = "snapshot" if origin.kind == "snapshot" else "volume"
    raise Refused(
        400,
        f"Invalid input received: Volume size '{asked}'GB cannot be smaller than the original "
        f"{original} size {origin.size_gib}GB. They must be >= original {original} size.",
    )


def refuse_other_backend(run: Run, origin: Origin, volume_type: VolumeType) -> None:
    """Refuse a type whose volumes are on another back end than the source's type says."""
    source_type = run.tx.get(VolumeType, origin.type_id) if origin.type_id else None
    if source_type is None or source_type.id == volume_type.id:
        return
    names = {t.extra_specs.get(BACKEND_NAME) for t in (source_type, volume_type)}
    if len(names) > 1:
        advice = (
            "recommend omitting the type argument"
            if origin.kind == "snapshot"
            else "either match source volume, or omit type argument"
        )
        raise Refused(
            400,
            f"Invalid input received: Invalid volume_type provided: {volume_type.id}; requested "
            f"type is not compatible; {advice}.",
        )


def refuse_other_zone(origin: Origin, zone: str | None) -> None:
    """Refuse a zone in which the source is not."""
    if zone and zone != origin.availability_zone:
        source = "snapshot" if origin.kind == "snapshot" else "source volume"
        raise Refused(
            400,
            f"Invalid input received: Volume must be in the same availability zone as the "
            f"{source}.",
        )


def as_source(origin: dict[str, Any]) -> Source:
    """The source as a node is told of it, from what `Origin.as_json` recorded."""
    return {
        "kind": origin["kind"],
        "object": origin["object"],
        "size_gib": origin["size_gib"],
    }
