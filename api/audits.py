"""Audits: does the database agree with itself and with the storage? /audits. For administrators."""

from typing import Any

from flask import current_app
from kombu.exceptions import OperationalError as BrokerError
from sqlalchemy import select
from sqlalchemy.orm import Session

from api import links
from api.blueprint import Blueprint
from api.context import current
from api.errors import RETRY_SECONDS, ApiError
from api.policy import authorize
from api.schemas.audits import AuditAction, AuditAnswer, AuditCreate
from db.audit import MEANINGS, Kind
from db.audit_repair import REPAIRS
from db.models import Audit, AuditDifference
from db.models.audit import ANSWERED, ASKED, WAITING
from db.transactions import reading
from tasks.audit import answers, begin_repair, nudge, start
from tasks.engine import Engine

blp = Blueprint("audits", __name__, description="Comparing the database with the storage")

POLICY = "breezeblock:audits"


@blp.post("/audits")
@blp.arguments(AuditCreate)
@blp.response(202, AuditAnswer)
def create_audit(body: dict[str, Any]) -> dict[str, Any]:
    """Begin an audit; ask for it until its state is `done`."""
    authorize(f"{POLICY}:create")
    try:
        audit_id = start(_engine(), current().request_id, body["audit"]["timeout"])
    except BrokerError as error:
        headers = {"Retry-After": RETRY_SECONDS}
        raise ApiError(503, "The broker is out of reach: nothing was asked.", headers) from error
    return _shown(audit_id)


@blp.get("/audits/<audit_id>")
@blp.response(200, AuditAnswer)
def show_audit(audit_id: str) -> dict[str, Any]:
    """Show an audit: which back ends have answered, and once it is done, what differs."""
    authorize(f"{POLICY}:show")
    with reading() as tx:
        audit = tx.get(Audit, audit_id)
    if audit is not None:
        nudge(_engine(), audit)
    return _shown(audit_id)


@blp.post("/audits/<audit_id>/action")
@blp.arguments(AuditAction)
@blp.response(202, AuditAnswer)
def act(_body: dict[str, Any], audit_id: str) -> dict[str, Any]:
    """Mend what the audit found; ask for it until its state is `repaired`."""
    authorize(f"{POLICY}:repair")
    if not begin_repair(_engine(), audit_id):
        state = _shown(audit_id)["audit"]["state"]
        raise ApiError(
            409, f"Audit {audit_id} cannot be repaired: it is {state}, and must be done."
        )
    return _shown(audit_id)


def _engine() -> Engine:
    engine: Engine = current_app.extensions["breezeblock.engine"]
    return engine


def _shown(audit_id: str) -> dict[str, Any]:
    with reading() as tx:
        audit = tx.get(Audit, audit_id)
        if audit is None:
            raise ApiError(404, f"Audit {audit_id} could not be found.")
        return {"audit": _document(tx, audit)}


def _document(tx: Session, audit: Audit) -> dict[str, Any]:
    came = answers(tx, audit) if audit.state in WAITING else {}
    query = select(AuditDifference).where(
        AuditDifference.audit_id == audit.id, AuditDifference.confirmed.is_(True)
    )
    return {
        "id": audit.id,
        "state": audit.state,
        "request_id": audit.request_id,
        "created_at": links.time_text(audit.created_at),
        "finished_at": links.time_text(audit.finished_at),
        "backends": [
            {
                "name": name,
                "state": _state(name, one["state"], audit, came),
                "reason": one["reason"],
                "objects": one.get("objects"),
            }
            for name, one in sorted(audit.backends.items())
        ],
        "differences": [
            {
                "kind": row.kind,
                "meaning": MEANINGS[Kind(row.kind)],
                "place": row.place,
                "subject": row.subject,
                "expected": row.expected,
                "found": row.found,
                "repair": REPAIRS[Kind(row.kind)].words,
                "outcome": row.outcome,
            }
            for row in tx.scalars(query.order_by(AuditDifference.number))
        ],
    }


def _state(name: str, state: str, audit: Audit, came: dict[str, str | None]) -> str:
    """Where a back end stands in the present round, for who watches."""
    if name in audit.asked:
        return ANSWERED if name in came else ASKED
    return state
