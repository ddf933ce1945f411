"""The audit as it goes: nodes are asked for lists, lists come in parts, and the rows are compared.

    start ──▶ node.inventory to each back end that is up
    audit.inventory (a part of a list) ──▶ with the last one: compare
    compare, 1st time ──▶ candidates ──▶ node.inventory again to the back ends they are on
    compare, 2nd time ──▶ the differences       (db.audit says why twice)

The rows hold all of it, so any control worker goes on where another died. Whoever looks at an audit
that is overdue sends `audit.check`, which compares without the lists that have not come.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

import structlog
from celery import Celery, Task
from kombu.exceptions import OperationalError as BrokerError
from sqlalchemy import delete, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from config.routing import CONTROL, node_queue
from db.audit import OF_OBJECTS, Difference, Kind, compare, confirmed, snapshot
from db.audit_repair import REPAIRS, mend
from db.liveness import read_liveness
from db.models import Audit, AuditDifference, AuditPart, Backend, Node, new_id, utcnow
from db.models.audit import (
    ANSWERED,
    ASKED,
    CONFIRMING,
    DONE,
    REPAIRED,
    REPAIRING,
    UNASKED,
    WAITING,
    WORKING,
)
from db.models.pool import FORGOTTEN
from db.transactions import is_transient, reading, retrying, writing
from tasks.engine import Engine
from tasks.message import VERSION
from tasks.registration import InContext, control_task

log = structlog.get_logger(__name__)

FAILED = "failed"
"""The outcome of a repair that the database refused; the log has the reason."""


def register(app: Celery, engine: Engine, in_context: InContext) -> None:
    """Make the audit's tasks of `app`."""

    def inventory(_task: Task, message: Any) -> None:
        """Take one part of what a back end holds."""
        take_part(engine, message)

    def check_audit(_task: Task, message: Any) -> None:
        """Bring an audit on that waits for what will not come."""
        check(engine, message["audit"])

    def repair_audit(_task: Task, message: Any) -> None:
        """Mend what an audit has found."""
        repair(message["audit"])

    control_task(
        app,
        "audit.inventory",
        in_context,
        inventory,
        audit=str,
        node=str,
        backend=str,
        listing=str,
        part=int,
        last=bool,
        objects=list,
    )
    control_task(app, "audit.check", in_context, check_audit, audit=str)
    control_task(app, "audit.repair", in_context, repair_audit, audit=str)


# -- what the API calls --------------------------------------------------------------------------


def start(engine: Engine, request_id: str, timeout: float) -> str:
    """Begin an audit; each round waits `timeout` seconds for the nodes. Returns its id.

    Raises BrokerError, and nothing is left then.
    """
    settings = engine.settings.sweeper
    audit = Audit(id=new_id(), request_id=request_id, timeout=timeout, deadline=_in(timeout))
    with writing() as tx:
        old = utcnow() - timedelta(hours=settings.retention_hours)
        tx.execute(delete(Audit).where(Audit.created_at < old))
        audit.backends = _backends(tx, settings.node_down_ticks)
        audit.asked = [name for name, one in audit.backends.items() if one["state"] == ASKED]
        tx.add(audit)
    try:
        _ask(engine, audit.id, 1, audit.asked)
        if not audit.asked:
            _send(engine, "audit.check", {"v": VERSION, "audit": audit.id}, CONTROL)
    except BrokerError:
        with writing() as tx:
            tx.execute(delete(Audit).where(Audit.id == audit.id))
        raise
    return audit.id


def begin_repair(engine: Engine, audit_id: str) -> bool:
    """Have the differences mended; False unless the audit is done and nobody else does it."""
    with writing() as tx:
        audit = tx.get(Audit, audit_id, with_for_update=True)
        if audit is None or audit.state != DONE:
            return False
        audit.state, audit.deadline = REPAIRING, _in(audit.timeout)
    _try_send(engine, "audit.repair", audit_id)
    return True


def nudge(engine: Engine, audit: Audit) -> None:
    """Have a control worker look at an audit that is overdue: a message or a worker was lost."""
    if audit.state in WORKING and utcnow() > audit.deadline:
        _try_send(engine, "audit.check", audit.id)


def answers(tx: Session, audit: Audit) -> dict[str, str | None]:
    """The back ends whose list has wholly come in this round; with why a list is not whole."""
    return {backend: error for backend, (_, error) in _came(tx, audit).items()}


def _came(tx: Session, audit: Audit) -> dict[str, tuple[str, str | None]]:
    """For each back end the first listing of which all parts are there, and its error.

    A back end that got its message twice may list twice, with something made or gone in between.
    """
    parts: dict[tuple[str, str], list[tuple[int, bool, str | None]]] = defaultdict(list)
    for backend, listing, part, last, error in tx.execute(
        select(
            AuditPart.backend, AuditPart.listing, AuditPart.part, AuditPart.last, AuditPart.error
        )
        .where(AuditPart.audit_id == audit.id, AuditPart.round == audit.round)
        .order_by(AuditPart.listing, AuditPart.part)
    ):
        parts[backend, listing].append((part, last, error))
    came: dict[str, tuple[str, str | None]] = {}
    for (backend, listing), found in parts.items():
        number, last, error = found[-1]
        if last and len(found) == number + 1:
            came.setdefault(backend, (listing, error))
    return came


def _backends(tx: Session, limit: int) -> dict[str, Any]:
    """Every back end whose node was not declared gone, and whether it can be asked."""
    alive = read_liveness(tx, limit)
    found = {}
    for backend in tx.scalars(
        select(Backend)
        .join(Node, Node.host == Backend.host)
        .where(Node.state != FORGOTTEN)
        .order_by(Backend.name)
    ):
        reason = None if alive.host_is_up(backend.host) else f"node {backend.host} is down"
        if reason is None and not backend.up:
            reason = f"down: {backend.reason}"
        found[backend.name] = {"state": UNASKED if reason else ASKED, "reason": reason}
    return found


# -- what the control workers do -----------------------------------------------------------------


def take_part(engine: Engine, message: Mapping[str, Any]) -> None:
    """Keep one part of a list; with the last one that was waited for, compare."""
    audit_id, _, number = message["audit"].partition("/")

    def keep() -> bool:
        backend = f"{message['node']}@{message['backend']}"
        key = (audit_id, int(number), backend, message["listing"], message["part"])
        with writing() as tx:
            audit = tx.get(Audit, audit_id, with_for_update=True)
            # Only from whom it was asked, and only while it is waited for.
            if audit is None or not _waits(audit, int(number)) or backend not in audit.asked:
                return False
            if tx.get(AuditPart, key) is None:
                names = ("audit_id", "round", "backend", "listing", "part")
                part = {name: message.get(name) for name in ("last", "error", "objects")}
                tx.add(AuditPart(**dict(zip(names, key, strict=True)), **part))
                tx.flush()
            return set(audit.asked) <= answers(tx, audit).keys()

    if retrying(keep):
        _look(engine, audit_id, int(number))


def check(engine: Engine, audit_id: str) -> None:
    """Go on with an audit whose lists have all come, or whose time is over."""
    with reading() as tx:
        audit = tx.get(Audit, audit_id)
        if audit is None or audit.state not in WORKING:
            return
        ready = set(audit.asked) <= answers(tx, audit).keys() or utcnow() > audit.deadline
    if audit.state == REPAIRING:
        repair(audit_id)
    elif ready:
        _look(engine, audit_id, audit.round)


def _waits(audit: Audit, number: int) -> bool:
    return audit.state in WAITING and audit.round == number


def _look(engine: Engine, audit_id: str, number: int) -> None:
    """Compare with the lists of round `number`, and write down what follows."""
    ask = retrying(lambda: _compare(audit_id, number))
    if ask is None:
        return
    try:
        _ask(engine, audit_id, 2, ask)
    except BrokerError as error:  # they will count as not answering
        log.warning("broker out of reach", audit=audit_id, error=str(error))
    if not ask:
        _look(engine, audit_id, 2)


def _compare(audit_id: str, number: int) -> list[str] | None:
    """One look. Returns the back ends to ask again before the second; None after that."""
    with snapshot() as tx:
        audit = tx.get(Audit, audit_id)
        if audit is None or not _waits(audit, number):
            return None
        came = _came(tx, audit)
        listing = _listing(tx, audit, came)
        found = compare(tx, listing)
    with writing() as tx:
        audit = tx.get(Audit, audit_id, with_for_update=True, populate_existing=True)
        if audit is None or not _waits(audit, number):
            return None  # another worker was quicker
        backends = dict(audit.backends)
        for name in audit.asked:
            backends[name] = _answered(name, listing, came)
        audit.backends = backends
        tx.execute(delete(AuditPart).where(AuditPart.audit_id == audit_id))
        if number == 1 and found:
            _write(tx, audit_id, found)
            audit.asked = sorted({one.place for one in found if one.kind in OF_OBJECTS})
            audit.state, audit.round, audit.deadline = CONFIRMING, 2, _in(audit.timeout)
            return audit.asked
        sure = confirmed(_candidates(tx, audit_id), found)
        tx.execute(delete(AuditDifference).where(AuditDifference.audit_id == audit_id))
        _write(tx, audit_id, sure, confirmed=True)
        audit.state, audit.asked, audit.finished_at = DONE, [], utcnow()
    log.info("audit done", audit=audit_id, differences=len(sure))
    return None


def _listing(
    tx: Session, audit: Audit, came: Mapping[str, tuple[str, str | None]]
) -> dict[str, dict[str, int]]:
    whole = {backend: listing for backend, (listing, error) in came.items() if error is None}
    listing: dict[str, dict[str, int]] = {name: {} for name in whole}
    for backend, of, objects in tx.execute(
        select(AuditPart.backend, AuditPart.listing, AuditPart.objects).where(
            AuditPart.audit_id == audit.id, AuditPart.round == audit.round
        )
    ):
        if whole.get(backend) == of:
            listing[backend].update(objects)
    return listing


def _answered(
    name: str,
    listing: Mapping[str, Mapping[str, int]],
    came: Mapping[str, tuple[str, str | None]],
) -> dict[str, Any]:
    if name in listing:
        return {"state": ANSWERED, "reason": None, "objects": len(listing[name])}
    _, error = came.get(name, ("", None))
    reason = error or f"node {name.partition('@')[0]} has not answered in time"
    return {"state": UNASKED, "reason": reason}


def _write(
    tx: Session, audit_id: str, found: Iterable[Difference], *, confirmed: bool = False
) -> None:
    tx.add_all(
        AuditDifference(
            audit_id=audit_id,
            number=number,
            kind=one.kind.value,
            place=one.place,
            subject=one.subject,
            expected=one.expected,
            found=one.found,
            epoch=one.epoch,
            confirmed=confirmed,
        )
        for number, one in enumerate(found)
    )


def _candidates(tx: Session, audit_id: str) -> list[Difference]:
    rows = tx.scalars(select(AuditDifference).where(AuditDifference.audit_id == audit_id))
    return [
        Difference(Kind(row.kind), row.place, row.subject, row.expected, row.found, row.epoch)
        for row in rows
    ]


def repair(audit_id: str) -> None:
    """Mend each difference that has no outcome yet, in a transaction of its own."""
    order = list(REPAIRS)
    with reading() as tx:
        rows = tx.execute(
            select(AuditDifference.number, AuditDifference.kind).where(
                AuditDifference.audit_id == audit_id,
                AuditDifference.confirmed.is_(True),
                AuditDifference.outcome.is_(None),
            )
        ).all()
    for number, _ in sorted(rows, key=lambda row: (order.index(Kind(row.kind)), row.number)):
        _mend(audit_id, number)
    with writing() as tx:
        audit = tx.get(Audit, audit_id, with_for_update=True)
        if audit is not None and audit.state == REPAIRING:
            audit.state, audit.finished_at = REPAIRED, utcnow()


def _mend(audit_id: str, number: int) -> None:
    def once() -> None:
        with writing() as tx:
            difference = tx.get(AuditDifference, (audit_id, number), with_for_update=True)
            if difference is not None and difference.outcome is None:
                mend(tx, difference)
                log.warning(
                    "audit repair",
                    kind=difference.kind,
                    place=difference.place,
                    subject=difference.subject,
                    outcome=difference.outcome,
                )

    try:
        retrying(once)
    except DBAPIError as error:
        if is_transient(error):
            raise  # the audit is overdue then, and is gone on with
        log.exception("audit repair refused by the database", audit=audit_id, number=number)
        with writing() as tx:
            tx.get_one(AuditDifference, (audit_id, number)).outcome = FAILED


# -- sending -------------------------------------------------------------------------------------


def _ask(engine: Engine, audit_id: str, number: int, backends: Iterable[str]) -> None:
    for name in backends:
        host, _, backend = name.partition("@")
        message = {"v": VERSION, "audit": f"{audit_id}/{number}", "backend": backend}
        _send(engine, "node.inventory", message, node_queue(host))


def _send(engine: Engine, task: str, message: dict[str, Any], queue: str) -> None:
    engine.app.send_task(task, args=[message], queue=queue, retry=False)


def _try_send(engine: Engine, task: str, audit_id: str) -> None:
    try:
        _send(engine, task, {"v": VERSION, "audit": audit_id}, CONTROL)
    except BrokerError as error:
        log.warning("broker out of reach", task=task, error=str(error))


def _in(seconds: float) -> datetime:
    return utcnow() + timedelta(seconds=seconds)
