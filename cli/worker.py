"""``breezeblock worker``: the Celery workers, each with the queues of its role."""

import os
import signal
import socket
import sys
import threading
import time
import warnings
from typing import Any

import click
import structlog
from celery import Celery, signals
from celery.exceptions import SecurityWarning

from cli.context import settings_of
from config import logging as logs
from config.process import COLD_SECONDS, collect_less, die_with_parent, notify_ready
from config.routing import CONTROL, EVENTS, SCHEDULER, SWEEP, node_queue
from config.settings import Settings

log = structlog.get_logger(__name__)

QUEUES = {"control": (CONTROL,), "events": (EVENTS, SWEEP), "scheduler": (SCHEDULER,)}


@click.command(short_help="Run a control, events, scheduler or node worker.")
@click.argument("role", type=click.Choice([*QUEUES, "node"]))
@click.option("--name", help="Its name before the @ (default: role and process id; node's name).")
@click.option("--concurrency", type=click.IntRange(1, 1000), help="Tasks at the same time.")
@click.option("--pool", type=click.Choice(["prefork", "threads", "solo"]), help="How they run.")
@click.pass_context
def worker(
    context: click.Context, role: str, name: str | None, concurrency: int | None, pool: str | None
) -> None:
    """Run a worker in the foreground until SIGTERM or Ctrl-C.

    Any number of control, events and scheduler workers may run. A node worker is one per storage
    node; it serves the [backends] of its settings, and needs no database.
    """
    settings = settings_of(context)
    run(settings, role, name, concurrency, pool)


def run(
    settings: Settings,
    role: str,
    name: str | None = None,
    concurrency: int | None = None,
    pool: str | None = None,
) -> None:
    """Build the role's Celery app and work in this process. Ends by SystemExit."""
    default_pool, default_concurrency = _pool(settings, role)
    if name is None:
        name = settings.node.name if role == "node" else f"{role}-{os.getpid()}"
    logs.configure(settings.logging, name)
    app = _app(settings, role)
    # It warns of root because of pickle. Messages here are JSON, and some storage needs root.
    warnings.simplefilter("ignore", SecurityWarning)
    _connect_signals(settings.worker.shutdown_timeout)
    queues = (node_queue(settings.node.name),) if role == "node" else QUEUES[role]
    working = app.Worker(
        hostname=f"{name}@{socket.gethostname()}",
        queues=",".join(queues),
        pool=pool or default_pool,
        concurrency=concurrency or default_concurrency,
        without_gossip=True,
        without_mingle=True,
        heartbeat_interval=5,
        task_events=False,  # Flower turns them on while it is there to look
        quiet=True,
        loglevel=settings.logging.level,
    )
    collect_less()
    working.start()
    sys.exit(working.exitcode)


def _app(settings: Settings, role: str) -> Celery:
    if role == "node":
        from tasks.node.app import make_node_celery

        return make_node_celery(settings.without_database())
    from tasks.app import make_celery

    return make_celery(settings, role)


def _pool(settings: Settings, role: str) -> tuple[str, int]:
    """The pool and the concurrency that the settings give a role."""
    own = settings.worker
    return {
        "control": (own.control_pool, own.control_concurrency),
        "events": (own.events_pool, own.events_concurrency),
        "scheduler": (own.scheduler_pool, own.scheduler_concurrency),
        "node": ("threads", settings.node.concurrency),
    }[role]


def _connect_signals(shutdown_timeout: float) -> None:
    def leave_logging_alone(**_: Any) -> None:
        """Being connected is enough: Celery then sets up no handlers of its own."""

    def ready(**_: Any) -> None:
        log.info("worker.ready")
        notify_ready()

    def limit_shutdown(how: str, **_: Any) -> None:
        if how == "Warm":
            threading.Thread(
                target=_end_after, args=(shutdown_timeout,), name="shutdown-limit", daemon=True
            ).start()

    signals.setup_logging.connect(leave_logging_alone, weak=False)
    signals.worker_ready.connect(ready, weak=False)
    signals.worker_shutting_down.connect(limit_shutdown, weak=False)
    worker = os.getpid()

    def die_with_worker(**_: Any) -> None:
        if os.getpid() != worker:  # the solo pool sends this signal too, in the worker itself
            die_with_parent(worker)

    signals.worker_process_init.connect(die_with_worker, weak=False)


def _end_after(timeout: float) -> None:
    """Bound a warm shutdown, which by itself waits for ever for a task that hangs.

    Celery's own soft shutdown is not used: it always sleeps its full time-out when a task runs, and
    in the solo pool it sleeps inside of that very task.
    """
    time.sleep(timeout)
    log.warning("worker.shutdown_limit", seconds=timeout)
    os.kill(os.getpid(), signal.SIGQUIT)  # cold: what is unacknowledged goes back to its queue
    time.sleep(COLD_SECONDS)
    os._exit(os.EX_TEMPFAIL)  # a thread that hangs in a driver keeps the interpreter from ending
