"""Where a volume is, as what is sent to its node says it."""

from sqlalchemy.orm import Session

from db.models import Node, Snapshot, Volume
from db.models.pool import FORGOTTEN


def place(host: str | None) -> dict[str, str | None]:
    """Node, backend and pool of `host@backend#pool`; all None for a volume that was never placed.

    What a step returns of it is what the orders of the later steps are made of.
    """
    node, _, rest = (host or "").partition("@")
    backend, _, pool = rest.partition("#")
    return {"node": node or None, "backend": backend or None, "pool": pool or None}


def place_to_clear(tx: Session, host: str | None) -> dict[str, str | None]:
    """The same, and all None where an operator has said that the node is gone with what it had."""
    where = place(host)
    node = tx.get(Node, where["node"]) if where["node"] else None
    return place(None) if node is not None and node.state == FORGOTTEN else where


def place_of_snapshot(tx: Session, snapshot: Snapshot, volume: Volume) -> dict[str, str | None]:
    """The place of a snapshot that is to go; all None for one that was to be managed and is not:
    what is there is not ours."""
    never_ours = snapshot.progress is None
    return place(None) if never_ours else place_to_clear(tx, volume.host)
