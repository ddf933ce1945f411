"""The node's reports: that it lives, what its back ends hold, what it works on.

A report goes out every few seconds, and at once on a ping. The ping comes through the node's own
queue, so its number in a report shows that the node takes its messages, which a live process alone
does not.
"""

import threading
import time
from collections import Counter
from dataclasses import asdict
from typing import Any

import structlog
from celery import Celery, Task

from config.routing import EVENTS
from tasks.message import UnintelligibleError, understood
from tasks.node.backends import Backend
from tasks.node.ledger import Ledger, LedgerError, Running
from tasks.node.node import Node

log = structlog.get_logger(__name__)

PROBE_WAIT = 1.0
"""Seconds that a report waits for back ends that are slow to say how they are."""
INTERRUPTED_REPEATS = 3
"""How many reports tell of an interrupted operation: one may be lost with its broker."""
ONE_TRY = {"max_retries": 1, "socket_timeout": 3, "socket_connect_timeout": 3}
"""Transport options of the reports: a broker that does not answer for seconds gets the next one."""
PURGE_INTERVAL = 600.0
"""Seconds between two purges of the ledger."""


class Reporter:
    """The thread that reports on `node`, every `interval` seconds, from `start` to `stop`."""

    def __init__(self, app: Celery, node: Node, availability_zone: str, interval: float) -> None:
        self._app = app
        self._node = node
        self._zone = availability_zone
        self._interval = interval
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._connection: Any = None
        self._tick: int | None = None
        self._sequence = 0
        self._told: Counter[tuple[str, int, str]] = Counter()
        self._purged = time.monotonic()

    def start(self) -> None:
        """Begin to report; the node's ledger is open."""
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, name="reporter", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop, without waiting for long: a broker that is away may hold the thread up."""
        self._stopping.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(2.0)

    def answer(self, tick: int) -> None:
        """Report at once, as the answer to the ping `tick`."""
        self._tick = tick
        self._wake.set()

    def report(self) -> dict[str, Any]:
        """The next report. Raises LedgerError."""
        ledger = self._node.ledger
        self._sequence += 1
        backends, pools = self._look()
        return {
            "v": 1,
            "host": self._node.host,
            "incarnation": {"uuid": ledger.uuid, "number": ledger.number},
            "sequence": self._sequence,
            "availability_zone": self._zone,
            "answers": self._tick,
            "pools": pools,
            "backends": backends,
            "running": [self._running(run) for run in ledger.running()],
            "interrupted": [
                {
                    "flow": run.flow,
                    "epoch": run.epoch,
                    "step": run.task.rpartition(".")[2],
                    "task": run.task,
                    "object": run.object,
                }
                for run in self._untold(ledger)
            ],
        }

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                self._send(self.report())
                self._purge()
            except Exception as error:  # a node that stops reporting is taken for dead
                log.warning("report not sent", error=str(error), type=type(error).__name__)
                self._disconnect()
            self._wake.wait(self._interval)
        self._disconnect()

    def _look(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        for backend in self._node.backends.values():
            backend.probe()
        deadline = time.monotonic() + PROBE_WAIT
        backends, pools = [], []
        for backend in self._node.backends.values():
            name = f"{self._node.host}@{backend.name}"
            state = backend.state(max(0.0, deadline - time.monotonic()))
            backends.append(
                {
                    "name": name,
                    "driver": backend.driver.name,
                    "up": state.up,
                    "reason": state.reason,
                }
            )
            for pool in state.pools:
                numbers = asdict(pool)
                pools.append(
                    {
                        **numbers,
                        "name": f"{name}#{numbers['name']}",
                        "backend": name,
                        "pool": numbers["name"],
                        "limit_gib": pool.limit_gib,
                    }
                )
        return backends, pools

    def _running(self, run: Running) -> dict[str, Any]:
        backend: Backend | None = self._node.backends.get(run.op.get("backend", ""))
        idle = self._node.progress.idle(run)
        return {
            "flow": run.flow,
            "epoch": run.epoch,
            "step": run.task.rpartition(".")[2],
            "task": run.task,
            "object": run.object,
            "seconds": round(run.seconds, 1),
            "hung": backend is not None and idle > backend.operation_timeout,
        }

    def _untold(self, ledger: Ledger) -> list[Running]:
        left = {(run.object, run.epoch, run.task): run for run in ledger.interrupted()}
        for key in self._told.keys() - left.keys():
            del self._told[key]
        return [run for key, run in left.items() if self._told[key] < INTERRUPTED_REPEATS]

    def _send(self, report: dict[str, Any]) -> None:
        # A connection of its own, and one try: a report that could wait for the broker would be
        # old when it arrives, and the next one says more.
        if self._connection is None:
            self._connection = self._app.connection_for_write(
                connect_timeout=3,
                transport_options={**self._app.conf.broker_transport_options, **ONE_TRY},
            )
        self._app.send_task(
            "node.report", args=[report], queue=EVENTS, connection=self._connection, retry=False
        )
        for run in report["interrupted"]:
            self._told[run["object"], run["epoch"], run["task"]] += 1

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.release()
            except Exception as error:  # it is broken already; the next report makes a new one
                log.debug("broker connection not closed", error=str(error))

    def _purge(self) -> None:
        if time.monotonic() - self._purged < PURGE_INTERVAL:
            return
        self._purged = time.monotonic()
        try:
            dropped = self._node.ledger.purge()
        except LedgerError as error:
            log.warning("ledger not purged", error=str(error))
        else:
            log.debug("ledger purged", rows=dropped)


def register(app: Celery, node: Node, reporter: Reporter) -> None:
    """Register the task that answers pings."""

    @app.task(name="node.ping", bind=True, shared=False)
    def ping(self: Task, message: Any) -> None:
        """Have the reporter answer at once; any number of waiting pings get one report."""
        try:
            reporter.answer(understood(message, tick=int)["tick"])
        except UnintelligibleError as error:
            node.park(self, message, str(error))
