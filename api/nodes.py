"""Storage nodes, and taking one out of service: /nodes. For administrators."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from flask import request
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from api import links
from api.blueprint import Blueprint
from api.errors import ApiError
from api.flows import without_secrets
from api.policy import authorize
from api.schemas.nodes import NodeAction, NodeAnswer, NodesAnswer
from api.topology import liveness
from db.models import Backend, Node, Residue
from db.models.pool import ACTIVE, DRAINING, FORGOTTEN
from db.overrides import forget_node
from db.transactions import reading, writing

blp = Blueprint("nodes", __name__, description="Storage nodes")

POLICY = "breezeblock:nodes"


@blp.get("/nodes")
@blp.response(200, NodesAnswer)
def list_nodes() -> dict[str, Any]:
    """List the nodes that have ever reported."""
    authorize(f"{POLICY}:list")
    with reading() as tx:
        return {"nodes": _documents(tx)}


@blp.get("/nodes/<host>")
@blp.response(200, NodeAnswer)
def show_node(host: str) -> dict[str, Any]:
    """Show one node."""
    authorize(f"{POLICY}:show")
    with reading() as tx:
        return {"node": _one(tx, host)}


@blp.post("/nodes/<host>/action")
@blp.arguments(NodeAction)
@blp.response(200, NodeAnswer)
def act(body: dict[str, Any], host: str) -> dict[str, Any]:
    """Drain a node, undo that, or declare one gone for good (`forget`; 409 while it is up)."""
    if len(body) != 1:
        actions = ", ".join(request.get_json()) or "none"
        raise ApiError(400, f"Exactly one action must be given, not {actions}.")
    (action,) = body
    authorize(f"{POLICY}:{action}")
    with writing() as tx:
        node = tx.scalars(select(Node).where(Node.host == host).with_for_update()).first()
        if node is None:
            raise _missing(host)
        if action == "forget":
            _forget(tx, node)
        else:
            _drain(node, drain=action == "drain")
        tx.flush()
        return {"node": _one(tx, host)}


def _drain(node: Node, *, drain: bool) -> None:
    if drain and node.state == FORGOTTEN:
        raise ApiError(409, f"Node {node.host} was declared gone; if it is back, undrain it.")
    node.state = DRAINING if drain else ACTIVE


def _forget(tx: Session, node: Node) -> None:
    if liveness(tx).host_is_up(node.host):
        raise ApiError(
            409,
            f"Node {node.host} is up: drain it and stop its worker before it is declared gone.",
        )
    forget_node(tx, node.host)


def _one(tx: Session, host: str) -> dict[str, Any]:
    found = _documents(tx, Node.host == host)
    if not found:
        raise _missing(host)
    return found[0]


def _missing(host: str) -> ApiError:
    return ApiError(404, f"Node {host} could not be found.")


def _documents(tx: Session, *where: ColumnElement[bool]) -> list[dict[str, Any]]:
    alive = liveness(tx)
    counts = tx.execute(select(Residue.host, func.count()).group_by(Residue.host))
    residues = {row[0]: row[1] for row in counts}
    backends: dict[str, list[Backend]] = defaultdict(list)
    for backend in tx.scalars(select(Backend).order_by(Backend.name)):
        backends[backend.host].append(backend)
    return [
        _document(
            node, alive.host_is_up(node.host), backends[node.host], residues.get(node.host, 0)
        )
        for node in tx.scalars(select(Node).where(*where).order_by(Node.host))
    ]


def _document(node: Node, up: bool, backends: Sequence[Backend], residues: int) -> dict[str, Any]:
    return {
        "host": node.host,
        "state": node.state,
        "up": up and node.state != FORGOTTEN,
        "availability_zone": node.availability_zone,
        "incarnation": node.incarnation,
        "reported_at": links.time_text(node.reported_at),
        "backends": [
            {
                "name": backend.name,
                "driver": backend.driver,
                "up": up and backend.up,
                "reason": backend.reason,
                "enabled": backend.enabled,
                "disabled_reason": backend.disabled_reason,
            }
            for backend in backends
        ],
        "running": without_secrets(node.running),
        "residues": residues,
    }
