"""Revert a volume to its latest snapshot. The pivot is the node's step: what it has begun to write
over the volume stays written."""

from sqlalchemy import select

from db import holds, residues
from db.models import Snapshot, Volume
from db.overrides import restored
from db.transitions import (
    AVAILABLE,
    ERROR,
    RESTORING,
    REVERTING,
    InvalidStatus,
    NotFound,
    let_go,
    locked,
    owned,
    take,
)
from tasks.definition import FlowDefinition, NodeOrder, Results, Run
from tasks.parking import StatusParking
from tasks.placement import place
from tasks.refusals import Refused

CONFLICT = 409


class RevertParking(StatusParking):
    """The snapshot is free while its volume waits, but stays held: it must not go."""

    def park(self, run: Run) -> None:
        """Let go of the volume, and of the snapshot's status."""
        super().park(run)
        restored(run.tx, run.flow)

    def resume(self, run: Run) -> bool:
        """Take both again; False when something else has taken one."""
        snapshot = locked(run.tx, Snapshot, run.flow.payload["snapshot_id"])
        if snapshot is None or snapshot.status != AVAILABLE or not super().resume(run):
            return False
        snapshot.status = RESTORING
        return True


revert_volume = FlowDefinition(
    "volume.revert",
    admission="extract",
    pivot="revert",
    undo_clean_pivot=True,
    parking=RevertParking(ERROR, REVERTING),
)


@revert_volume.step()
def extract(run: Run) -> Results:
    """Take the volume, and its latest snapshot with it. Admission ends here."""
    volume, previous = _taken(run)
    snapshot = _latest(run, volume)
    holds.take(run.tx, run.flow.id, snapshot.id)
    snapshot.status = RESTORING
    residues.drop_resumable(run.tx, volume)
    return {
        "previous_status": previous,
        "size_gib": volume.size,
        "object": volume.object_name,
        "snapshot": snapshot.object_name,
        **place(volume.host),
    }


@extract.compensation
def restore_status(run: Run) -> Results:
    """Nothing was written: volume and snapshot are what they were."""
    volume = owned(run.tx, Volume, run.flow)
    if volume is not None:
        let_go(volume, run.ctx["previous_status"])
    _release(run)
    return None


@revert_volume.node_step()
def revert(run: Run) -> NodeOrder:
    """Give the volume what the snapshot has."""
    ctx = run.ctx
    return NodeOrder(
        ctx["node"],
        {
            "verb": "revert",
            "backend": ctx["backend"],
            "pool": ctx["pool"],
            "object": ctx["object"],
            "volume_id": run.flow.resource_id,
            "size_gib": ctx["size_gib"],
            "spec": {},
            "source": {
                "kind": "snapshot",
                "object": ctx["snapshot"],
                "size_gib": ctx["size_gib"],
            },
        },
    )


@revert_volume.step()
def finish(run: Run) -> Results:
    """Volume and snapshot may be used again."""
    volume = owned(run.tx, Volume, run.flow)
    if volume is not None:
        let_go(volume, run.ctx["previous_status"])
    _release(run)
    return None


def _taken(run: Run) -> tuple[Volume, str]:
    try:
        volume, previous = take(run.tx, Volume, run.flow.resource_id, "volume.revert", run.flow)
    except InvalidStatus as error:
        raise Refused(CONFLICT, str(error)) from error
    if not volume.visible:
        raise NotFound(f"Volume {volume.id} could not be found.")
    return volume, previous


def _latest(run: Run, volume: Volume) -> Snapshot:
    """The snapshot to revert to, locked; it must be the latest, of the volume's present size."""
    asked = run.flow.payload["snapshot_id"]
    newest = select(Snapshot).where(Snapshot.volume_id == volume.id, Snapshot.visible.is_(True))
    latest = run.tx.scalars(
        newest.order_by(Snapshot.created_at.desc(), Snapshot.id.desc()).limit(1).with_for_update()
    ).first()
    if latest is None:
        raise Refused(400, f"Volume {volume.id} doesn't have any snapshots.")
    if latest.id != asked:
        raise Refused(
            400,
            f"Specified snapshot {asked} is None or not the latest one of volume {volume.id}.",
        )
    cannot = f"Can't revert volume {volume.id} to its latest snapshot {latest.id}."
    if latest.size != volume.size:
        raise Refused(400, f"{cannot} The volume size must be equal to the snapshot size.")
    if latest.status != AVAILABLE or latest.flow_id is not None:
        raise Refused(
            CONFLICT, f"Invalid snapshot: {cannot} Snapshot's status must be 'available'."
        )
    holder = holds.of_others(run.tx, latest.id, run.flow)
    if holder is not None:
        raise Refused(CONFLICT, f"Invalid snapshot: {cannot} A running {holder} reads it.")
    return latest


def _release(run: Run) -> None:
    restored(run.tx, run.flow)
    holds.release(run.tx, run.flow.id)
