"""What flows may have left on nodes that have not answered: /residues. For administrators."""

from typing import Any

from flask import request
from sqlalchemy import select

from api import links, paging
from api.auth import require_admin
from api.blueprint import Blueprint
from api.errors import ApiError
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
    require_admin("breezeblock:residues:list")
    page = paging.requested(SORTABLE)
    query = select(Residue).where(
        *(column == request.args[name] for name, column in FILTERS.items() if name in request.args)
    )
    with reading() as tx:
        marker = tx.get(Residue, page.marker) if page.marker else None
        if page.marker and marker is None:
            raise ApiError(404, f"Residue {page.marker} could not be found.")
        found = tx.scalars(paging.paged(query, page, SORTABLE, ("created_at", "id"), marker)).all()
        pools = {row.id: row.name for row in tx.execute(select(Pool.id, Pool.name))}
    answer: dict[str, Any] = {
        "residues": [_document(one, pools.get(one.pool_id or 0)) for one in found]
    }
    if page.is_full(len(found)):
        answer["residues_links"] = links.next_page("residues", found[-1].id)
    return answer


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
