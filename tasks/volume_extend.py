"""Extend a volume. The pivot is the node's step: what has begun to grow does not shrink."""

from config.routing import SCHEDULER
from db import attachments, capacity, quota
from db.models import Pool, Volume
from db.transitions import (
    ERROR_EXTENDING,
    EXTENDING,
    NotFound,
    let_go,
    owned,
    take,
)
from tasks.definition import FlowDefinition, NodeOrder, Results, Run
from tasks.parking import StatusParking
from tasks.refusals import Refused

extend_volume = FlowDefinition(
    "volume.extend",
    admission="quota_commit",
    pivot="extend",
    undo_clean_pivot=True,
    parking=StatusParking(ERROR_EXTENDING, EXTENDING),
)


@extend_volume.step()
def extract(run: Run) -> Results:
    """Take the volume for extending, and work out by how much it grows."""
    attached = bool(run.flow.payload.get("attached"))
    action = "volume.extend_attached" if attached else "volume.extend"
    volume, previous = take(run.tx, Volume, run.flow.resource_id, action, run.flow)
    if not volume.visible:
        raise NotFound(f"Volume {volume.id} could not be found.")
    if attached:
        _refuse_unless_online(run, volume)
    new_size = run.flow.payload["new_size_gib"]
    if new_size <= volume.size:
        raise Refused(
            400,
            f"Invalid input received: New size for extend must be greater than current size. "
            f"(current: {volume.size}, extended: {new_size}).",
        )
    host, _, rest = (volume.host or "").partition("@")
    backend, _, pool = rest.partition("#")
    return {
        "previous_status": previous,
        "growth_gib": new_size - volume.size,
        "type_id": volume.charged_type_id,
        "node": host,
        "backend": backend,
        "pool": pool,
        "pool_id": volume.pool_id,
        "object": volume.object_name,
    }


@extract.compensation
def restore_status(run: Run) -> Results:
    """Before admission the volume is what it was; after it, its owner sees that it did not grow."""
    volume = owned(run.tx, Volume, run.flow)
    if volume is not None:
        let_go(volume, ERROR_EXTENDING if run.flow.admitted else run.ctx["previous_status"])
    return None


@extend_volume.step()
def quota_reserve(run: Run) -> Results:
    """Reserve the growth, overall and of the volume's type."""
    growth = quota.volume_deltas(0, run.ctx["growth_gib"], run.ctx["type_id"])
    project_id, new_size = _volume(run).project_id, run.flow.payload["new_size_gib"]
    defaults = quota.defaults(run.settings)
    quota.reserve(run.tx, run.flow.id, project_id, growth, defaults, new_size)
    return None


@quota_reserve.compensation
def quota_release(run: Run) -> Results:
    """Release the reservation, if it was not committed meanwhile."""
    quota.release(run.tx, run.flow.id)
    return None


@extend_volume.step()
def quota_commit(run: Run) -> Results:
    """Turn the reservation into usage and write it on the row; admission ends."""
    quota.commit(run.tx, run.flow.id)
    _volume(run).charged_gib += run.ctx["growth_gib"]
    return None


@quota_commit.compensation
def quota_give_back(run: Run) -> Results:
    """Give the growth back."""
    volume = owned(run.tx, Volume, run.flow)
    if volume is not None:
        quota.give_back(run.tx, volume, count=0, gib=run.ctx["growth_gib"])
    return None


@extend_volume.step(SCHEDULER)
def claim(run: Run) -> Results:
    """Claim the growth in the volume's own pool."""
    pool_id, growth = run.ctx["pool_id"], run.ctx["growth_gib"]
    if pool_id is None or not capacity.claim(run.tx, run.flow.id, pool_id, growth, volumes=0):
        pool = run.tx.get(Pool, pool_id) if pool_id is not None else None
        room = f"{pool.limit_gib - pool.taken_gib:.1f} GiB free in {pool.name}" if pool else "none"
        text = f"No room to extend by {growth} GiB"
        raise Refused(500, f"{text}: {room}.", type="NoRoom", public=f"{text}.")
    return None


@claim.compensation
def release_claim(run: Run) -> Results:
    """Release the claim, unless a residue has taken it over."""
    capacity.release(run.tx, run.flow.id)
    return None


@extend_volume.node_step()
def extend(run: Run) -> NodeOrder:
    """Grow the volume's object on its node."""
    return NodeOrder(
        run.ctx["node"],
        {
            "verb": "extend",
            "backend": run.ctx["backend"],
            "pool": run.ctx["pool"],
            "object": run.ctx["object"],
            "volume_id": run.flow.resource_id,
            "size_gib": run.flow.payload["new_size_gib"],
            "spec": {},
        },
    )


@extend_volume.step()
def finish(run: Run) -> Results:
    """The volume has its new size, and is what it was before, or what its attachments make it."""
    volume = _volume(run)
    capacity.allocate(run.tx, run.flow.id, volume)
    volume.size = run.flow.payload["new_size_gib"]
    let_go(volume, run.ctx["previous_status"])
    if run.flow.payload.get("attached"):
        attachments.settle(run.tx, volume)
    return None


def _refuse_unless_online(run: Run, volume: Volume) -> None:
    pool = run.tx.get(Pool, volume.pool_id) if volume.pool_id is not None else None
    if pool is None or not pool.capabilities.get("online_extend"):
        raise Refused(
            400, f"Invalid volume: the backend of volume {volume.id} cannot extend it while in use."
        )


def _volume(run: Run) -> Volume:
    volume = owned(run.tx, Volume, run.flow)
    if volume is None:
        raise Refused(409, f"Volume {run.flow.resource_id} is no longer this flow's.")
    return volume
