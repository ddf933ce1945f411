"""A whole installation in one thread: database, control plane, storage nodes, and every message.

The Celery apps and their tasks are the real ones, on kombu's `memory://` broker, but no worker
consumes it. The world takes each message off its queue and runs it through Celery's own tracer, so
it decides what arrives, when, how often, and at which instruction a process dies. Time is the
sweeper's count of ticks, which goes on only when a test says so: nothing here waits.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery.app.trace import build_tracer
from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session

import tasks.app
import tasks.engine
import tasks.reports
from config.routing import CONTROL, EVENTS, NODE_PREFIX, SCHEDULER, SWEEP, node_queue
from config.settings import Settings, load
from db import database_app, transactions
from db.models import (
    Base,
    Clock,
    Flow,
    FlowStep,
    Node,
    Residue,
    Snapshot,
    Volume,
    new_id,
    utcnow,
)
from db.models.flow import UNFINISHED
from tasks import dispatch
from tasks.app import make_celery
from tasks.engine import Engine
from tests import connections
from tests.broker import Broker, Delivery
from tests.invariants import check
from tests.seams import cut_control, cut_node
from tests.storage_node import StorageNode

PROJECT = "demo"
MOST_TICKS = 80
"""A world that is not at rest after so many sweeps is stuck."""


class Killed(BaseException):
    """The process that ran this line is dead."""


class Fault:
    """What goes wrong in a world; by default nothing."""

    def message(self, world: "World", delivery: Delivery) -> bool:
        """A message is about to be run; True if it shall not be."""
        return False

    def point(self, world: "World", point: str, delivery: Delivery) -> None:
        """A process has come to `point` while it runs `delivery`; may raise."""

    def serves(self, queue: str) -> bool:
        """Whether somebody takes the next message out of a queue."""
        return True

    def killed(self, world: "World", delivery: Delivery) -> None:
        """The process that ran `delivery` is dead."""

    def tick(self, world: "World") -> None:
        """A sweep is about to run."""

    def end(self, world: "World") -> None:
        """Everything has come to rest."""


class World:
    """The installation. See the module, and the `world` fixture."""

    def __init__(self, folder: Path, environ: dict[str, str]) -> None:
        self.folder = folder
        self.settings: Settings = load(environ=environ)
        self.broker = Broker()
        self.control = make_celery(self.settings)
        self.engine: Engine = self.control.engine
        self.flask = database_app(self.settings)
        self.nodes: dict[str, StorageNode] = {}
        self.faults: list[Fault] = []
        self.trail: list[str] = []
        self.choose: Callable[[list[str]], str] = itemgetter(0)
        self._running = threading.local()

    def keep(self) -> None:
        """Remember the database and the nodes as they are now, for `reset`."""
        with self.reading() as tx:
            self._kept = [
                (table, [dict(row) for row in tx.execute(table.select()).mappings()])
                for table in Base.metadata.sorted_tables
            ]
        self._lasting = set(self.nodes)

    def reset(self) -> None:
        """Go back to what was kept: quicker than a new world. Works on any database."""
        self.faults.clear()
        self.trail.clear()
        self.choose = itemgetter(0)
        self.broker.flush()
        for host in self.nodes.keys() - self._lasting:
            self.nodes.pop(host).die()
        for node in self.nodes.values():
            node.clean()
        with self.writing() as tx:
            for table, _ in reversed(self._kept):
                tx.execute(table.delete())
            for table, rows in self._kept:
                if rows:
                    tx.execute(table.insert(), rows)
            for host, node in self.nodes.items():  # which may have lost the one that was kept
                ledger = node.node.ledger.uuid
                tx.execute(update(Node).where(Node.host == host).values(ledger=ledger))
        self.run()

    def close(self) -> None:
        """End every process."""
        for node in self.nodes.values():
            node.die()

    # -- what is done to it ------------------------------------------------------------------

    def add_node(self, host: str, **options: Any) -> StorageNode:
        """A node with one back end `fake`; `options` are those of its driver."""
        node = self.nodes[host] = StorageNode(self.folder, host, **options)
        node.start()
        return node

    def create(self, size: int | None = 1, project: str = PROJECT, **asked: Any) -> str:
        """Ask for a volume of `size` GiB, None for its source's; returns its id."""
        volume_id = new_id()
        self.submit("volume.create", volume_id, {"size_gib": size, **asked}, project)
        return volume_id

    def delete(self, volume_id: str, *, force: bool = False, cascade: bool = False) -> str:
        """Ask for a volume's deletion; returns the flow's id."""
        return self.submit("volume.delete", volume_id, {"force": force, "cascade": cascade})

    def extend(self, volume_id: str, size: int) -> str:
        """Ask for a volume to become `size` GiB; returns the flow's id."""
        return self.submit("volume.extend", volume_id, {"new_size_gib": size})

    def snapshot(self, volume_id: str, **asked: Any) -> str:
        """Ask for a snapshot of a volume; returns its id."""
        snapshot_id = new_id()
        self.submit("snapshot.create", snapshot_id, {"volume_id": volume_id, **asked})
        return snapshot_id

    def delete_snapshot(self, snapshot_id: str, *, force: bool = False) -> str:
        """Ask for a snapshot's deletion; returns the flow's id."""
        return self.submit("snapshot.delete", snapshot_id, {"force": force})

    def revert(self, volume_id: str, snapshot_id: str) -> str:
        """Ask for a volume to be what a snapshot of it is; returns the flow's id."""
        return self.submit("volume.revert", volume_id, {"snapshot_id": snapshot_id})

    def submit(
        self, kind: str, resource_id: str, payload: dict[str, Any], project: str = PROJECT
    ) -> str:
        """Commit a flow's row and send its chain, as the API does."""
        definition = self.engine.definitions[kind]
        tick = func.coalesce(select(Clock.tick).where(Clock.id == 1).scalar_subquery(), 0)
        row = {
            "id": new_id(),
            "kind": kind,
            "project_id": project,
            "user_id": "ann",
            "request_id": f"req-{new_id()}",
            "resource_id": resource_id,
            "payload": payload,
            "queue": definition.steps[0].queue,
        }
        with self.writing() as tx:
            tx.execute(insert(Flow).values(**row, tick=tick))
        with self.reading() as tx:
            flow = tx.scalars(select(Flow).where(Flow.id == row["id"])).one()
            outgoing = dispatch.first(definition, flow)
        self.engine.send(outgoing)
        return str(row["id"])

    def run(self, until: Callable[[Delivery], bool] | None = None) -> Delivery | None:
        """Run messages until no process that is up has one, or until one that is not run then."""
        while (delivery := self._next()) is not None:
            if until is not None and until(delivery):
                self.broker.put(delivery, front=True)
                return delivery
            self.deliver(delivery)
        return None

    def tick(self) -> None:
        """One sweep, and all that follows from it."""
        for fault in list(self.faults):
            fault.tick(self)
        self.trail.append("-- tick")
        with self.writing() as tx:
            tx.execute(update(Clock).values(at=utcnow() - timedelta(days=1)))
        self.control.send_task("sweep.tick", queue=SWEEP)
        self.run()

    def settle(self) -> None:
        """Run and sweep until nothing is under way that can go on."""
        for _ in range(MOST_TICKS):
            self.run()
            if self._at_rest():
                return
            self.tick()
        raise AssertionError(f"not at rest after {MOST_TICKS} sweeps:\n{self.story()}")

    def finish(self) -> None:
        """Settle, let the faults have their last word, settle again, and check the invariants."""
        self.settle()
        for fault in list(self.faults):
            fault.end(self)
        self.settle()
        self.check()

    def check(self) -> None:
        """Assert what must hold whenever nothing is under way."""
        with self.reading() as tx:
            faults = check(tx, {host: node.objects() for host, node in self.nodes.items()})
            connected = {host: node.connections() for host, node in self.nodes.items()}
            faults += connections.check(tx, connected)
        assert not faults, "\n".join([*faults, self.story()])

    # -- what is asked of it -----------------------------------------------------------------

    @contextmanager
    def writing(self) -> Iterator[Session]:
        with self.flask.app_context(), transactions.writing() as tx:
            yield tx

    @contextmanager
    def reading(self) -> Iterator[Session]:
        with self.flask.app_context(), transactions.reading() as tx:
            yield tx

    def volume(self, volume_id: str) -> Volume | None:
        with self.reading() as tx:
            return tx.get(Volume, volume_id)

    def snapshot_row(self, snapshot_id: str) -> Snapshot | None:
        with self.reading() as tx:
            return tx.get(Snapshot, snapshot_id)

    def flow(self, flow_id: str) -> Flow:
        with self.reading() as tx:
            return tx.scalars(select(Flow).where(Flow.id == flow_id)).one()

    def flow_of(self, resource_id: str, kind: str = "volume.create") -> Flow:
        with self.reading() as tx:
            query = select(Flow).where(Flow.resource_id == resource_id, Flow.kind == kind)
            return tx.scalars(query.order_by(Flow.created_at.desc())).first() or pytest.fail(kind)

    def residues(self) -> list[Residue]:
        with self.reading() as tx:
            return list(tx.scalars(select(Residue)))

    def story(self) -> str:
        """What happened: every message, and the journal."""
        with self.reading() as tx:
            flows = tx.scalars(select(Flow).order_by(Flow.created_at)).all()
            lines = [
                f"{f.kind} {f.id[:8]} {f.state} position={f.position} epoch={f.epoch} "
                f"queue={f.queue} tick={f.tick} resends={f.resends} error={f.error}"
                for f in flows
            ]
            for s in tx.scalars(select(FlowStep).order_by(FlowStep.flow_id, FlowStep.seq)):
                lines.append(
                    f"  {s.flow_id[:8]} {s.seq} e{s.epoch} a{s.attempt} {'undo ' * s.undo}{s.step} "
                    f"{s.outcome} {s.node or ''} {s.error or ''}"
                )
            for r in tx.scalars(select(Residue)):
                lines.append(f"residue {r.host} {r.op} resume={r.resume} gib={r.gib} {r.reason}")
            for v in tx.scalars(select(Volume)):
                lines.append(f"volume {v.id[:8]} {v.status} {v.host} size={v.size} e{v.epoch}")
            for n in tx.scalars(select(Snapshot)):
                lines.append(f"snapshot {n.id[:8]} {n.status} of {n.volume_id[:8]} e{n.epoch}")
        return "\n".join([*self.trail[-120:], *lines])

    # -- how messages are run ------------------------------------------------------------------

    def deliver(self, delivery: Delivery) -> None:
        """Run one message as its worker would, unless a fault takes it."""
        for fault in list(self.faults):
            if fault.message(self, delivery):
                self.trail.append(f"{delivery.queue} {delivery.task}: taken by {fault}")
                return
        self.execute(delivery)

    def execute(self, delivery: Delivery) -> None:
        """Run one message; a death in it is the death of its process."""
        epoch = delivery.message.get("epoch")
        self.trail.append(f"{delivery.queue} {delivery.task} e{epoch}")
        app = self._consumer(delivery.queue)
        assert app is not None, f"nobody consumes {delivery.queue}"
        self._running.delivery = delivery
        try:
            self._trace(app, delivery)
        except Killed:
            self.trail.append(f"   killed in {delivery.task}")
            if delivery.queue.startswith(NODE_PREFIX):
                self.node_of(delivery).die()
            for fault in list(self.faults):
                fault.killed(self, delivery)
        finally:
            self._running.delivery = None

    def node_of(self, delivery: Delivery) -> StorageNode:
        """The node that a message is for."""
        return self.nodes[delivery.queue.removeprefix(NODE_PREFIX)]

    def at(self, point: str) -> None:
        """Called by the seams in engine and ledger."""
        delivery = getattr(self._running, "delivery", None)
        if delivery is not None:
            for fault in list(self.faults):
                fault.point(self, point, delivery)

    def _next(self) -> Delivery | None:
        queues = (EVENTS, CONTROL, SCHEDULER, SWEEP, *(node_queue(host) for host in self.nodes))
        waiting = [q for q in queues if self.broker.holds(q) and self.consumed(q)]
        return self.broker.take(self.choose(waiting)) if waiting else None

    def consumed(self, queue: str) -> bool:
        """Whether somebody takes messages out of a queue."""
        served = all(fault.serves(queue) for fault in self.faults)
        return served and self._consumer(queue) is not None

    def _consumer(self, queue: str) -> Celery | None:
        if queue.startswith(NODE_PREFIX):
            return self.nodes[queue.removeprefix(NODE_PREFIX)].app
        return self.control

    def _trace(self, app: Celery, delivery: Delivery) -> None:
        args, kwargs, embedded = delivery.body
        request = {
            **delivery.payload["headers"],
            **embedded,
            "args": args,
            "kwargs": kwargs,
            "delivery_info": {"exchange": "", "routing_key": delivery.queue, "redelivered": False},
            "is_eager": False,
        }
        task = app.tasks[delivery.task]
        if not hasattr(task, "world_run"):
            task.world_run, task.run = task.run, self._watched(task.run)
            task.world_tracer = build_tracer(delivery.task, task, app=app)
        task.world_tracer(request["id"], args, kwargs, request)

    def _watched(self, run: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*args: Any, **kwargs: Any) -> Any:
            self.at("begin")
            result = run(*args, **kwargs)
            self.at("done")
            return result

        return watched

    def _at_rest(self) -> bool:
        up = [host for host, node in self.nodes.items() if node.app is not None]
        with self.reading() as tx:
            open_flows = tx.scalar(select(func.count()).where(Flow.state.in_(UNFINISHED)))
            open_residues = tx.scalar(select(func.count()).where(Residue.host.in_(up)))
        return not open_flows and not open_residues


def seams(world: World, patch: pytest.MonkeyPatch) -> None:
    """Let a world's faults into engine and ledger, and take the waiting out of retries."""
    real = transactions.retrying
    cut_control(world.at, patch.setattr)
    cut_node(world.at, patch.setattr)
    for module in (tasks.app, tasks.engine, tasks.reports):
        patch.setattr(module, "retrying", lambda work: real(work, seconds=0.1))
