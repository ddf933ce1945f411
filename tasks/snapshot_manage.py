"""Manage a snapshot: take over one of a managed volume that is on the storage already."""

from db import capacity, holds, quota
from db.models import Base, Pool, Snapshot, Volume, snapshot_object_name
from db.transitions import (
    AVAILABLE,
    ERROR_MANAGING,
    IN_USE,
    MANAGING,
    NotFound,
    change_owned,
    let_go,
    owned,
)
from tasks.definition import FlowDefinition, NodeOrder, Results, Run
from tasks.manageable import adoption, managing_pool, placed_in
from tasks.refusals import Refused

manage_snapshot = FlowDefinition("snapshot.manage", admission="db_entry")


@manage_snapshot.step()
def extract(run: Run) -> Results:
    """Find the volume and hold it: the snapshot is to be in its pool."""
    volume_id = run.flow.payload["volume_id"]
    volume = run.tx.get(Volume, volume_id, with_for_update={"read": True}, populate_existing=True)
    if volume is None or not volume.visible:
        raise NotFound(f"Volume {volume_id} could not be found.")
    if volume.status not in (AVAILABLE, IN_USE) or volume.host is None:
        raise Refused(
            400,
            f"Invalid volume: Volume {volume.id} status must be {AVAILABLE} or {IN_USE}, but "
            f"current status is: {volume.status}.",
        )
    holds.take(run.tx, run.flow.id, volume.id)
    pool = managing_pool(run, volume.host)
    return {"type_id": volume.volume_type_id, **placed_in(pool)}


@extract.compensation
def release_holds(run: Run) -> Results:
    """The volume may go again."""
    holds.release(run.tx, run.flow.id)
    return None


@manage_snapshot.step()
def quota_reserve(run: Run) -> Results:
    """Reserve one snapshot, overall and of its type; its size is not known yet."""
    asked = quota.snapshot_deltas(1, 0, run.ctx["type_id"])
    defaults = quota.defaults(run.settings)
    quota.reserve(run.tx, run.flow.id, run.flow.project_id, asked, defaults)
    return None


@quota_reserve.compensation
def quota_release(run: Run) -> Results:
    """Release the reservation."""
    quota.release(run.tx, run.flow.id)
    return None


@manage_snapshot.step()
def db_entry(run: Run) -> Results:
    """Insert the snapshot's row, without a size; admission ends here."""
    flow, asked = run.flow, run.flow.payload
    run.tx.execute(
        Base.metadata.tables["snapshots"].insert(),
        {
            "id": flow.resource_id,
            "project_id": flow.project_id,
            "user_id": flow.user_id,
            "volume_id": asked["volume_id"],
            "name": asked.get("name"),
            "description": asked.get("description"),
            "size": 0,
            "status": MANAGING,
            "visible": True,
            "volume_type_id": run.ctx["type_id"],
            "metadata": asked.get("metadata") or {},
            "created_at": flow.created_at,
            "flow_id": flow.id,
            "epoch": flow.epoch,
        },
    )
    return None


@db_entry.compensation
def remove_or_fail(run: Run) -> Results:
    """The row becomes `error_managing`; if the request was never admitted, it goes."""
    snapshot = owned(run.tx, Snapshot, run.flow)
    if snapshot is not None and run.flow.admitted:
        let_go(snapshot, ERROR_MANAGING)
    elif snapshot is not None:
        run.tx.delete(snapshot)
    return None


@manage_snapshot.node_step()
def adopt(run: Run) -> NodeOrder:
    """Have the node give the object our name, and tell its size."""
    name = snapshot_object_name(run.flow.resource_id)
    return adoption(run, "adopt", name, run.flow.payload["volume_id"])


@adopt.node_compensation
def release(run: Run) -> NodeOrder:
    """Give the object its own name back."""
    name = snapshot_object_name(run.flow.resource_id)
    return adoption(run, "release", name, run.flow.payload["volume_id"])


@manage_snapshot.step()
def finish(run: Run) -> Results:
    """The snapshot is available: its GiB are charged, and allocated where they take their room."""
    flow, size = run.flow, run.ctx["size_gib"]
    charged_gib = 0 if run.settings.api.no_snapshot_gb_quota else size
    asked = quota.snapshot_deltas(0, charged_gib, run.ctx["type_id"])
    if asked:
        quota.reserve(run.tx, flow.id, flow.project_id, asked, quota.defaults(run.settings))
    quota.commit(run.tx, flow.id)
    change_owned(
        run.tx,
        flow,
        size=size,
        progress="100%",
        charged_count=1,
        charged_gib=charged_gib,
        charged_type_id=run.ctx["type_id"],
        provider_location=run.ctx["provider_location"],
    )
    snapshot = owned(run.tx, Snapshot, flow)
    if snapshot is not None:
        pool = run.tx.get_one(Pool, run.ctx["pool_id"])
        capacity.take_over(run.tx, snapshot, pool.id, 0 if pool.thin else size)
        let_go(snapshot, AVAILABLE)
    holds.release(run.tx, flow.id)
    return None
