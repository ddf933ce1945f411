"""What nodes report: who is up, what pools hold, what is worked on. Written only on change."""

from collections.abc import Mapping
from typing import Any

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from config.routing import node_queue
from db.models import Backend, Clock, Node, Pool, utcnow
from db.transactions import retrying, writing
from tasks.engine import Engine
from tasks.sweep import record_answer, resend_interrupted

log = structlog.get_logger(__name__)

POOL_FIELDS = (
    "limit_gib",
    "total_gib",
    "free_gib",
    "foreign_gib",
    "reserved_percentage",
    "max_over_subscription_ratio",
    "thin",
    "thick",
    "capabilities",
)


def take_report(engine: Engine, report: Mapping[str, Any]) -> None:
    """Write one report down, unless a newer one has come before it."""
    if not retrying(lambda: _write(report)):
        return
    for run in report["interrupted"]:
        log.info("interrupted on its node", node=report["host"], **run)
        resend_interrupted(engine, run["flow"], run["epoch"])


def _write(report: Mapping[str, Any]) -> bool:
    with writing() as tx:
        node = _node(tx, report)
        if node is None:
            return False
        if report.get("answers") is not None:
            record_answer(tx, node_queue(node.host), report["answers"])
        backends = {row["name"] for row in report["backends"]}
        for known in tx.scalars(select(Backend).where(Backend.host == node.host)):
            if known.name not in backends:
                _retire(tx, known)
        for row in report["backends"]:
            _backend(tx, node, row)
        tx.flush()
        pools = {row["name"] for row in report["pools"]}
        up = {row["name"] for row in report["backends"] if row["up"]}
        for pool in tx.scalars(select(Pool).where(Pool.host == node.host)):
            # The pools of a back end that is down are not reported, but have not gone away.
            if pool.name not in pools and pool.backend in up:
                _set(pool, {"present": False})
        for row in report["pools"]:
            _pool(tx, node, row)
        return True


def _node(tx: Session, report: Mapping[str, Any]) -> Node | None:
    """The node's row, if this report is newer than the last; made by its first report."""
    incarnation, host = report["incarnation"], report["host"]
    tick = tx.scalar(select(Clock.tick).where(Clock.id == 1)) or 0
    node = tx.get(Node, host, with_for_update=True)
    if node is None:
        node = Node(host=host, ledger=incarnation["uuid"], incarnation=-1, sequence=-1)
        tx.add(node)
    elif node.ledger == incarnation["uuid"]:
        newest = (node.incarnation, node.sequence)
        if (incarnation["number"], report["sequence"]) <= newest:
            return None
    else:
        # From now on it is given orders; what it was ordered before is for a ledger that is lost.
        log.warning("node has a new ledger", node=host, ledger=incarnation["uuid"])
    node.ledger, node.incarnation = incarnation["uuid"], incarnation["number"]
    node.sequence, node.report_tick, node.reported_at = report["sequence"], tick, utcnow()
    _set(node, {"availability_zone": report["availability_zone"], "running": report["running"]})
    tx.flush()
    return node


def _backend(tx: Session, node: Node, row: Mapping[str, Any]) -> None:
    backend = tx.get(Backend, row["name"])
    if backend is None:
        backend = Backend(name=row["name"], host=node.host, driver=row["driver"])
        tx.add(backend)
    if _set(backend, {"driver": row["driver"], "up": row["up"], "reason": row["reason"]}):
        backend.updated_at = utcnow()


def _retire(tx: Session, backend: Backend) -> None:
    """A backend that its node no longer has goes, once nothing is placed there any more."""
    pools = tx.scalars(select(Pool).where(Pool.backend == backend.name).with_for_update()).all()
    if any(pool.taken_gib or pool.volumes for pool in pools):
        _set(backend, {"up": False, "reason": "no longer configured on its node"})
    else:
        tx.delete(backend)  # and with it its pools, by the foreign key


def _pool(tx: Session, node: Node, row: Mapping[str, Any]) -> None:
    pool = tx.scalars(select(Pool).where(Pool.name == row["name"])).first()
    if pool is None:
        pool = Pool(name=row["name"], host=node.host, backend=row["backend"], taken_gib=0)
        tx.add(pool)
    if _set(pool, {field: row[field] for field in POOL_FIELDS} | {"present": True}):
        pool.updated_at = utcnow()


def _set(row: Any, values: Mapping[str, Any]) -> bool:
    """Assign what differs; whether anything did."""
    changed = {name: value for name, value in values.items() if getattr(row, name) != value}
    for name, value in changed.items():
        setattr(row, name, value)
    return bool(changed)
