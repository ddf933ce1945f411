"""The sweeper: finds flows without progress and drives them on, from the journal.

Its clock counts its own runs. At every tick a probe goes into each queue; since queues are first
in, first out, a message older than an answered probe has come out. A flow whose message came out
and that has not moved since has lost it: it is sent again under a higher epoch. A flow whose
message is younger than the newest answer waits in a backlog, and is left alone. So a wall clock
that jumps, or a second beat, does no harm.
"""

from datetime import timedelta
from typing import Any

import structlog
from kombu.exceptions import OperationalError as BrokerError
from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from config.routing import CONTROL, NODE_PREFIX, SCHEDULER, node_queue
from db import capacity, holds, journal, residues
from db.liveness import Liveness, read_liveness
from db.models import Claim, Clock, Flow, Node, QueueProbe, Residue, utcnow
from db.models.flow import PARKED, RUNNING, SUPERSEDED, UNDOING, UNFINISHED
from db.models.pool import FORGOTTEN
from db.overrides import write_off
from db.retention import purge
from db.transactions import reading, writing
from tasks import dispatch
from tasks.decisions import Failure, resend_due
from tasks.definition import Run
from tasks.engine import Engine
from tasks.message import VERSION

log = structlog.get_logger(__name__)

MOST_RESENDS = 6
"""A node that answers pings but never this step, after so many tries, has given no answer."""
SILENT_PROBE_EVERY = 15
"""Ticks between two probes of a queue that nobody answers: they would pile up in it."""

PURGE_EVERY = 15
"""Ticks between two purges of what is older than the retention."""


def sweep(engine: Engine) -> dict[str, int]:
    """One run; returns how much there was to do. May run anywhere, any number at once."""
    settings = engine.settings.sweeper
    tick = advance(settings.interval)
    if tick is None:
        return {}
    with reading() as tx:
        alive = read_liveness(tx, settings.node_down_ticks)
        hosts = list(tx.execute(select(Node.host, Node.report_tick, Node.state)))
    _probe(engine, tick, alive, hosts)
    done = {"tick": tick, "flows": 0, "residues": 0}
    for flow_id, epoch, seq in _without_progress(engine, tick):
        done["flows"] += _drive(engine, tick, alive, flow_id, epoch, seq)
    for residue_id in _residues(tick, alive, settings.batch):
        done["residues"] += _settle(engine, tick, residue_id)
    if tick % PURGE_EVERY == 0:
        purge(timedelta(hours=settings.retention_hours))
    return done


def advance(interval: float) -> int | None:
    """The next tick; None when another run has just made it.

    Compare-and-set on the row, so that two beats do not make time run twice as fast; a wall clock
    that was set back costs one early tick.
    """
    now = utcnow()
    recently = now - timedelta(seconds=interval * 0.6)
    with writing() as tx:
        if tx.get(Clock, 1) is None:
            tx.add(Clock(id=1, tick=0, at=recently))
            tx.flush()
        return tx.scalar(
            update(Clock)
            .where(Clock.id == 1, or_(Clock.at <= recently, Clock.at > now))
            .values(tick=Clock.tick + 1, at=now)
            .returning(Clock.tick)
            .execution_options(synchronize_session=False)
        )


def answer(queue: str, tick: int) -> None:
    """A probe of `tick` came out of `queue`."""
    with writing() as tx:
        record_answer(tx, queue, tick)


def record_answer(tx: Session, queue: str, tick: int) -> None:
    """Note the newest answered tick of a queue; an older answer that comes late changes nothing."""
    probe = tx.get(QueueProbe, queue, with_for_update=True)
    if probe is None:
        tx.add(QueueProbe(queue=queue, answered_tick=tick, since_tick=tick))
    elif tick > probe.answered_tick:
        probe.answered_tick = tick


def _probe(engine: Engine, tick: int, alive: Liveness, hosts: list[Any]) -> None:
    for queue in (CONTROL, SCHEDULER):
        if alive.queue_is_up(queue) or tick % SILENT_PROBE_EVERY == 1:
            _post(engine, "sweep.probe", {"v": VERSION, "tick": tick, "queue": queue}, queue)
    for host, report_tick, state in hosts:
        # A node that came back reports of itself, and is asked again from then on.
        speaks = report_tick >= tick - engine.settings.sweeper.node_down_ticks
        if state != FORGOTTEN and (speaks or alive.host_is_up(host)):
            _post(engine, "node.ping", {"v": VERSION, "tick": tick}, node_queue(host))


def _post(engine: Engine, task: str, message: dict[str, Any], queue: str) -> None:
    try:
        engine.app.send_task(task, args=[message], queue=queue, retry=False)
    except BrokerError as error:
        log.warning("broker out of reach", task=task, queue=queue, error=str(error))


def _without_progress(engine: Engine, tick: int) -> list[tuple[str, int, int]]:
    """Flows to look at: their message has come out of its queue, or their node is silent."""
    settings = engine.settings.sweeper
    answered = func.coalesce(QueueProbe.answered_tick, 0)
    silent = (answered <= tick - settings.node_down_ticks) & Flow.queue.like(f"{NODE_PREFIX}%")
    query = (
        select(Flow.id, Flow.epoch, Flow.seq, Flow.tick, Flow.resends)
        .outerjoin(QueueProbe, QueueProbe.queue == Flow.queue)
        .where(
            Flow.state.in_(UNFINISHED),
            Flow.children == 0,
            Flow.tick <= tick - settings.grace_ticks,
            or_(answered > Flow.tick, silent),
        )
        .order_by(Flow.resends, Flow.tick)
        .limit(settings.batch)
    )
    with reading() as tx:
        rows = tx.execute(query).all()
    return [
        (row.id, row.epoch, row.seq)
        for row in rows
        if resend_due(tick, row.tick, row.resends, settings.grace_ticks, settings.max_backoff_ticks)
    ]


def _drive(engine: Engine, tick: int, alive: Liveness, flow_id: str, epoch: int, seq: int) -> int:
    """Send one flow on, or give up waiting for its node. Returns 1 if there was something to do."""
    outgoing, lost_node = None, None
    with writing() as tx:
        flow = journal.lock(tx, flow_id, epoch)
        if flow is None or flow.seq != seq:
            return 0
        host = flow.queue.removeprefix(NODE_PREFIX) if flow.queue.startswith(NODE_PREFIX) else None
        node = tx.get(Node, host) if host else None
        runs = _runs(node, flow) if node else None
        if host and (node is None or node.state == FORGOTTEN or not alive.host_is_up(host)):
            lost_node = f"node {host} does not answer"
        elif runs and runs.get("hung"):
            lost_node = f"node {host} has worked on it for {runs.get('seconds')} s without an end"
        elif runs:
            return 0
        elif host and flow.resends >= MOST_RESENDS:
            lost_node = f"node {host} answers, but not to this step"
        elif host and not flow.resends:
            # The node is through with it, so its answer is on the way: give that the same chance.
            flow.queue, flow.tick, flow.resends = CONTROL, tick, 1
            return 1
        else:
            outgoing = resend(tx, engine, flow)
    if lost_node is not None:
        error = {"type": "NodeLost", "status": 500, "message": lost_node}
        step = engine.definitions[flow.kind].steps[flow.position]
        return int(
            engine.fail(flow_id, epoch, step, Failure.UNKNOWN, error, undoing=flow.state == UNDOING)
        )
    if outgoing is not None:
        log.info("flow sent again", flow=flow_id, epoch=outgoing.message["epoch"])
        engine.send(outgoing)
    return 1


def resend(tx: Session, engine: Engine, flow: Flow) -> dispatch.Outgoing:
    """Raise a locked flow's epoch and stand it ready to be sent from where the journal has it."""
    journal.raise_epoch(tx, flow)
    flow.resends += 1
    outgoing = dispatch.current(tx, engine.settings, engine.definitions[flow.kind], flow)
    journal.touch(tx, flow, outgoing.queue)
    return outgoing


def resend_interrupted(engine: Engine, flow_id: str, epoch: int) -> None:
    """A node says that it died while it worked on this flow: it is sent again at once."""
    with writing() as tx:
        flow = journal.lock(tx, flow_id, epoch)
        if flow is None or not engine.definitions[flow.kind].steps[flow.position].on_node:
            return
        outgoing = resend(tx, engine, flow)
    engine.send(outgoing)


def _runs(node: Node, flow: Flow) -> dict[str, Any] | None:
    """What the node's last report says of its work on this flow."""
    return next((run for run in node.running if run["flow"] == flow.id), None)


def _residues(tick: int, alive: Liveness, batch: int) -> list[str]:
    """Residues whose node can be asked again, or will never be."""
    with reading() as tx:
        rows = tx.execute(
            select(Residue.id, Residue.host, Residue.tick, Residue.tries, Node.state)
            .outerjoin(Node, Node.host == Residue.host)
            .order_by(Residue.tick)
        ).all()
    due = [
        row.id
        for row in rows
        if row.state == FORGOTTEN
        or (alive.host_is_up(row.host) and resend_due(tick, row.tick, row.tries, 1, 30))
    ]
    return due[:batch]


def _settle(engine: Engine, tick: int, residue_id: str) -> int:
    """Ask the node to remove what may be left, or let the parked flow go on."""
    outgoing = None
    with writing() as tx:
        residue = tx.get(Residue, residue_id, with_for_update=True)
        if residue is None or residue.tick == tick:
            return 0
        residue.tick, residue.tries = tick, residue.tries + 1
        node = tx.get(Node, residue.host)
        if node is None or node.state == FORGOTTEN:
            write_off(tx, residue)
            return 1
        if residue.resume:
            outgoing = reopen(tx, engine, residue)
        else:
            message = {
                "v": VERSION,
                "residue": residue.id,
                "epoch": residues.order_epoch(residue),
                "ledger": node.ledger,
                "op": residue.op,
            }
            queue = node_queue(residue.host)
    if outgoing is not None:
        engine.send(outgoing)
    elif not residue.resume:
        _post(engine, "node.settle_residue", message, queue)
    return 1


def reopen(tx: Session, engine: Engine, residue: Residue) -> dispatch.Outgoing | None:
    """Let the parked flow of a locked residue go on; None when it cannot, and the residue ends."""
    flow = tx.get(Flow, residue.flow_id, with_for_update=True)
    if flow is None or flow.state != PARKED:
        capacity.settle(tx, residue)
        return None
    definition = engine.definitions[flow.kind]
    run = Run(tx, flow, journal.results(tx, flow), engine.settings)
    if definition.parking is None or not definition.parking.resume(run):
        flow.state = SUPERSEDED
        holds.release(tx, flow.id)
        capacity.settle(tx, residue)
        return None
    if residue.pool_id is not None:
        tx.add(
            Claim(
                flow_id=flow.id,
                pool_id=residue.pool_id,
                gib=residue.gib,
                volumes=residue.volumes,
            )
        )
    tx.delete(residue)
    flow.state, flow.finished_at = RUNNING, None
    flow.attempt += 1
    return resend(tx, engine, flow)
