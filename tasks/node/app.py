"""The Celery app of a storage node's worker.

One process with a pool of threads: a node waits for its storage, and all of its operations share
one ledger and one set of driver instances. Messages are acknowledged early, when a thread takes
them, and run from the ledger: a long copy must not be delivered twice by a visibility time-out.
"""

import os
import time
from typing import Any

import structlog
from celery import Celery, bootsteps

from config.celery import make_app
from config.settings import Settings
from drivers.registry import load_backend
from tasks.node import inventory, manageable, report, residue, steps
from tasks.node.backends import Backend
from tasks.node.node import Node
from tasks.node.report import Reporter

log = structlog.get_logger(__name__)


def make_node_celery(settings: Settings) -> Celery:
    """The app of the node `settings.node`, with the back ends of `settings.backends`.

    Its ledger is opened when a worker starts. Raises BackendMisconfigured.
    """
    app = make_app(f"breezeblock.{settings.node.name}", settings)
    app.conf.update(
        task_acks_late=False,
        worker_pool="threads",
        worker_concurrency=settings.node.concurrency,
    )
    node = make_node(settings, app)
    reporter = Reporter(app, node, settings.node.availability_zone, settings.node.report_interval)
    steps.register(app, node)
    residue.register(app, node)
    inventory.register(app, node)
    manageable.register(app, node)
    report.register(app, node, reporter)
    app.steps["worker"].add(_life(node, reporter, settings.worker.shutdown_timeout))
    return app


def make_node(settings: Settings, app: Celery) -> Node:
    """The node alone, answering through `app`; its ledger is not open yet."""

    def send(task: str, payload: dict[str, Any], queue: str) -> None:
        app.send_task(task, args=[payload], queue=queue)

    backends = {
        name: Backend(name, load_backend(name, table)) for name, table in settings.backends.items()
    }
    return Node(settings.node.name, settings.node.ledger, backends, send)


def _life(node: Node, reporter: Reporter, shutdown_timeout: float) -> type:
    """The worker step that opens and closes `node`, around the time in which tasks run.

    A boot step rather than Celery's signals: those are shared by all the apps of a process.
    """

    class NodeLife(bootsteps.StartStopStep):
        # Started after the pool, so stopped before it; the consumer, which brings the tasks, is
        # the first to stop.
        requires = ("celery.worker.components:Pool",)

        def start(self, parent: Any) -> None:
            del parent
            node.open()
            reporter.start()

        def stop(self, parent: Any) -> None:
            _drain(parent.pool, node, shutdown_timeout)
            reporter.stop()
            node.close()

        terminate = stop

    return NodeLife


def _drain(pool: Any, node: Node, timeout: float) -> None:
    """Wait `timeout` seconds for what runs; then leave it to the ledger and go.

    What the pool has not begun is not begun any more: it is unacknowledged and goes back to the
    queue.
    """
    executor = getattr(pool, "executor", None)  # the solo pool has none, and nothing waiting
    if executor is not None:
        executor.shutdown(wait=False, cancel_futures=True)
    # A second is left to get away before whoever started this worker loses patience.
    deadline = time.monotonic() + max(0.0, timeout - 1.0)
    while running := node.ledger.running():
        if time.monotonic() >= deadline:
            for run in running:
                log.warning("left running", object=run.object, flow=run.flow, task=run.task)
            # A thread that hangs in a driver cannot be stopped, and the interpreter would wait
            # for it without end. The next incarnation reports these operations as interrupted.
            os._exit(0)
        time.sleep(0.02)
