"""What flows may have left on nodes that have not answered: /residues. For administrators."""

from typing import Any

from sqlalchemy import select

from api import links
from api.blueprint import Blueprint
from api.errors import ApiError
from api.filters import equal_to
from api.listing import listed
from api.policy import authorize
from api.schemas.nodes import ResiduesAnswer
from db.models import Pool, Residue
from db.transactions import reading

blp = Blueprint("residues", __name__, description="What may be left on a node")

FILTERS = {"host": Residue.host, "volume_id": Residue.volume_id, "flow_id": Residue.flow_id}
SORTABLE = {"id": Residue.id, "host": Residue.host, "created_at": Residue.created_at}


@blp.get("/residues")
@blp.response(200, ResiduesAnswer)
def list_residues() -> dict[str, Any]:
    """List residues, the newest first; filters `host`, `volume_id`, `flow_id`."""
    authorize("breezeblock:residues:list")
    with reading() as tx:
        pools = {row.id: row.name for row in tx.execute(select(Pool.id, Pool.name))}
    return listed(
        select(Residue).where(*equal_to(FILTERS)),
        lambda one: _document(one, pools.get(one.pool_id or 0)),
        collection="residues",
        sortable=SORTABLE,
        find=_find,
    )


def _find(residue_id: str) -> Residue:
    with reading() as tx:
        residue = tx.get(Residue, residue_id)
    if residue is None:
        raise ApiError(404, f"Residue {residue_id} could not be found.")
    return residue


def _document(residue: Residue, pool: str | None) -> dict[str, Any]:
    return {
        "id": residue.id,
        "flow_id": residue.flow_id,
        "request_id": residue.request_id,
        "volume_id": residue.volume_id,
        "host": residue.host,
        "pool": pool,
        "gib": residue.gib,
        "verb": residue.op.get("verb"),
        "object": residue.op.get("object"),
        "resume": residue.resume,
        "epoch": residue.epoch,
        "reason": residue.reason,
        "tries": residue.tries,
        "created_at": links.time_text(residue.created_at),
    }
