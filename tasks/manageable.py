"""What managing and unmanaging of volumes and of snapshots have in common."""

from sqlalchemy import select

from db.models import Backend, Node, Pool
from db.models.pool import ACTIVE
from tasks.definition import NodeOrder, Run
from tasks.message import Operation
from tasks.placement import place
from tasks.refusals import Refused


def managing_pool(run: Run, host: str, *, of_several: bool = False) -> Pool:
    """The pool `host@backend#pool`, or the only one of `host@backend`, whose driver can manage.

    With `of_several` any one will do. Raises Refused: 404 where there is none, 503 while it takes
    nothing new, 400 if it cannot.
    """
    by_name = Pool.name == host if "#" in host else Pool.backend == host
    rows = run.tx.execute(
        select(Pool, Backend, Node)
        .join(Backend, Backend.name == Pool.backend)
        .join(Node, Node.host == Pool.host)
        .where(by_name, Pool.present.is_(True))
        .order_by(Pool.name)
        .limit(2)
    ).all()
    if not rows:
        raise Refused(404, f"Service cinder-volume could not be found on host {host}.")
    if len(rows) > 1 and not of_several:
        raise Refused(400, f"Invalid input received: {host} has several pools; name one of them.")
    pool, backend, node = rows[0]
    if not (backend.enabled and backend.up and node.state == ACTIVE) or backend.frozen:
        raise Refused(503, f"Service is unavailable: {backend.name} is disabled or down.")
    if not pool.capabilities.get("manage"):
        raise Refused(400, f"Invalid input received: the backend {backend.name} cannot manage.")
    return pool


def adoption(run: Run, verb: str, object_name: str, volume_id: str) -> NodeOrder:
    """Have the node give the referenced object our name, or with `release` its own back."""
    ctx = run.ctx
    op: Operation = {
        "verb": verb,
        "backend": ctx["backend"],
        "pool": ctx["pool"],
        "object": object_name,
        "volume_id": volume_id,
        "size_gib": 0,
        "spec": {},
        "reference": run.flow.payload["reference"],
    }
    return NodeOrder(ctx["node"], op)


def giving_up(run: Run, volume_id: str) -> NodeOrder | None:
    """Have the node give the object a name that is not ours; one that was never placed has none."""
    ctx = run.ctx
    if ctx["node"] is None:
        return None
    op: Operation = {
        "verb": "release",
        "backend": ctx["backend"],
        "pool": ctx["pool"],
        "object": ctx["object"],
        "volume_id": volume_id,
        "size_gib": ctx["size_gib"],
        "spec": {},
    }
    return NodeOrder(ctx["node"], op)


def placed_in(pool: Pool) -> dict[str, object]:
    """Node, backend and pool, as steps keep them, and the pool's row."""
    return {**place(pool.name), "pool_id": pool.id, "host": pool.name}
