"""Create a snapshot of a volume, in the volume's pool."""

from config.routing import SCHEDULER
from db import capacity, holds, quota
from db.models import Base, Pool, Snapshot, Volume, snapshot_object_name
from db.transitions import (
    AVAILABLE,
    CREATING,
    ERROR,
    IN_USE,
    NotFound,
    change_owned,
    let_go,
    owned,
    refuse_frozen,
)
from tasks.definition import FlowDefinition, NodeOrder, Results, Run
from tasks.message import Operation
from tasks.placement import place
from tasks.refusals import Refused

create_snapshot = FlowDefinition("snapshot.create", admission="quota_commit")


@create_snapshot.step()
def extract(run: Run) -> Results:
    """Find the volume and hold it: it keeps its place and its size until the snapshot is there."""
    volume = _held(run)
    _refuse_status(volume, force=bool(run.flow.payload.get("force")))
    return {
        "size_gib": volume.size,
        "type_id": volume.volume_type_id,
        "charged_gib": 0 if run.settings.api.no_snapshot_gb_quota else volume.size,
        "pool_id": volume.pool_id,
        "source": volume.object_name,
        **place(volume.host),
    }


@extract.compensation
def release_holds(run: Run) -> Results:
    """The volume may go again."""
    holds.release(run.tx, run.flow.id)
    return None


@create_snapshot.step()
def quota_reserve(run: Run) -> Results:
    """Reserve one snapshot and its GiB, overall and of its volume's type."""
    asked = quota.snapshot_deltas(1, run.ctx["charged_gib"], run.ctx["type_id"])
    defaults = quota.defaults(run.settings)
    quota.reserve(run.tx, run.flow.id, run.flow.project_id, asked, defaults)
    return None


@quota_reserve.compensation
def quota_release(run: Run) -> Results:
    """Release the reservation, if it was not committed meanwhile."""
    quota.release(run.tx, run.flow.id)
    return None


@create_snapshot.step()
def db_entry(run: Run) -> Results:
    """Insert the snapshot's row; users do not see it until the request is admitted."""
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
            "size": run.ctx["size_gib"],
            "status": CREATING,
            "progress": "0%",
            "volume_type_id": run.ctx["type_id"],
            "metadata": asked.get("metadata") or {},
            "group_snapshot_id": asked.get("group_snapshot_id"),
            "created_at": flow.created_at,
            "flow_id": flow.id,
            "epoch": flow.epoch,
        },
    )
    return None


@db_entry.compensation
def remove_or_fail(run: Run) -> Results:
    """The row becomes `error`; if the request was never admitted, it goes."""
    snapshot = owned(run.tx, Snapshot, run.flow)
    if snapshot is not None and run.flow.admitted:
        let_go(snapshot, ERROR)
    elif snapshot is not None:
        run.tx.delete(snapshot)
    return None


@create_snapshot.step()
def quota_commit(run: Run) -> Results:
    """Turn the reservation into usage and write on the row what it was charged; admission ends."""
    quota.commit(run.tx, run.flow.id)
    change_owned(
        run.tx,
        run.flow,
        charged_count=1,
        charged_gib=run.ctx["charged_gib"],
        charged_type_id=run.ctx["type_id"],
        visible=True,
    )
    return None


@quota_commit.compensation
def quota_give_back(run: Run) -> Results:
    """Give back what the row says was charged."""
    snapshot = owned(run.tx, Snapshot, run.flow)
    if snapshot is not None:
        quota.give_back(run.tx, snapshot)
    return None


@create_snapshot.step(SCHEDULER)
def claim(run: Run) -> Results:
    """Claim the snapshot's size in the volume's pool, if it takes its room at once there."""
    pool, size = run.tx.get(Pool, run.ctx["pool_id"]), run.ctx["size_gib"]
    if pool is None or pool.thin:
        return None
    if not capacity.claim(run.tx, run.flow.id, pool.id, size, volumes=0):
        room = f"{pool.limit_gib - pool.taken_gib:.1f} GiB free in {pool.name}"
        text = f"No room for a snapshot of {size} GiB"
        raise Refused(500, f"{text}: {room}.", type="NoRoom", public=f"{text}.")
    return None


@claim.compensation
def release_claim(run: Run) -> Results:
    """Release the claim, unless a residue has taken it over."""
    capacity.release(run.tx, run.flow.id)
    return None


@create_snapshot.node_step()
def create(run: Run) -> NodeOrder:
    """Make the snapshot on its volume's node."""
    return _order(run, "create_snapshot")


@create.node_compensation
def destroy(run: Run) -> NodeOrder:
    """Destroy what this flow made there."""
    return _order(run, "destroy_snapshot")


@create_snapshot.step()
def finish(run: Run) -> Results:
    """The snapshot is available; its claim becomes an allocation, its volume may go again."""
    _, gib, _ = capacity.take_claim(run.tx, run.flow.id) or (None, 0, 0)
    change_owned(
        run.tx,
        run.flow,
        pool_id=run.ctx["pool_id"],
        allocated_gib=gib,
        provider_location=run.ctx.get("provider_location"),
        progress="100%",
        status=AVAILABLE,
        flow_id=None,
    )
    holds.release(run.tx, run.flow.id)
    return None


def _held(run: Run) -> Volume:
    volume_id = run.flow.payload["volume_id"]
    volume = run.tx.get(Volume, volume_id, with_for_update={"read": True}, populate_existing=True)
    if volume is None or not volume.visible:
        raise NotFound(f"Volume {volume_id} could not be found.")
    refuse_frozen(run.tx, volume.pool_id, volume.id, "a snapshot", volume.status, "volume")
    holds.take(run.tx, run.flow.id, volume.id)
    return volume


def _refuse_status(volume: Volume, *, force: bool) -> None:
    allowed = (AVAILABLE, IN_USE) if force else (AVAILABLE,)
    if volume.status not in allowed:
        raise Refused(
            400,
            f"Invalid volume: Volume {volume.id} status must be {' or '.join(allowed)}, but "
            f"current status is: {volume.status}.",
        )


def _order(run: Run, verb: str) -> NodeOrder:
    ctx = run.ctx
    op: Operation = {
        "verb": verb,
        "backend": ctx["backend"],
        "pool": ctx["pool"],
        "object": snapshot_object_name(run.flow.resource_id),
        "volume_id": run.flow.payload["volume_id"],
        "size_gib": ctx["size_gib"],
        "spec": {},
        "source": {"kind": "volume", "object": ctx["source"], "size_gib": ctx["size_gib"]},
    }
    return NodeOrder(ctx["node"], op)
