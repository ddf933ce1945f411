"""Delete a volume. The pivot is the node's step: what has begun to be destroyed stays so."""

from db import residues
from db.models import Node, Volume
from db.models.pool import FORGOTTEN
from db.overrides import fenced, remove_volume
from db.transitions import (
    DELETING,
    ERROR_DELETING,
    NotFound,
    owned,
    take,
)
from tasks.definition import FlowDefinition, NodeOrder, Results, Run
from tasks.parking import VolumeParking

delete_volume = FlowDefinition(
    "volume.delete",
    admission="extract",
    pivot="destroy",
    parking=VolumeParking(ERROR_DELETING, DELETING),
)


@delete_volume.step()
def extract(run: Run) -> Results:
    """Take the volume for deletion; with force, from whatever works on it. Admission ends here.

    There is no compensation: the pivot comes next, so nothing can ask for one.
    """
    force = bool(run.flow.payload.get("force"))
    volume = fenced(run.tx, run.flow.resource_id) if force else _visible(run)
    action = "volume.force_delete" if force else "volume.delete"
    volume, _ = take(run.tx, Volume, volume.id, action, run.flow)
    residues.drop_resumable(run.tx, volume)
    return {"object": volume.object_name, **_where(run, volume)}


@delete_volume.node_step()
def destroy(run: Run) -> NodeOrder | None:
    """Destroy the volume's object on its node; a volume that never had a node has none."""
    if run.ctx.get("node") is None:
        return None
    return NodeOrder(
        run.ctx["node"],
        {
            "verb": "destroy",
            "backend": run.ctx["backend"],
            "pool": run.ctx["pool"],
            "object": run.ctx["object"],
            "volume_id": run.flow.resource_id,
            "size_gib": run.ctx["size_gib"],
            "spec": {},
        },
    )


@delete_volume.step()
def finish(run: Run) -> Results:
    """Remove the row, with what it was charged and what it held in its pool."""
    volume = owned(run.tx, Volume, run.flow)
    if volume is not None:
        remove_volume(run.tx, volume)
    return None


def _visible(run: Run) -> Volume:
    volume = run.tx.get(Volume, run.flow.resource_id)
    if volume is None or not volume.visible:
        raise NotFound(f"Volume {run.flow.resource_id} could not be found.")
    return volume


def _where(run: Run, volume: Volume) -> dict[str, object]:
    if volume.host is None:
        return {"node": None}
    host, _, rest = volume.host.partition("@")
    backend, _, pool = rest.partition("#")
    node = run.tx.get(Node, host)
    if node is not None and node.state == FORGOTTEN:
        return {"node": None}  # an operator has said that the node is gone, and its volumes with it
    return {"node": host, "backend": backend, "pool": pool, "size_gib": volume.size}
