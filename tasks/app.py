"""The Celery application of the control plane: its workers, and the API that sends to them."""

from collections.abc import Callable
from typing import Any

import structlog
from celery import Celery, Task
from celery.signals import worker_process_init

from config.celery import make_app
from config.settings import Settings
from db import capacity, database_app, db
from db.models import Residue
from db.transactions import retrying, writing
from tasks import audit, dead_letters, parcel
from tasks.attachment_connect import connect_attachment
from tasks.attachment_disconnect import disconnect_attachment
from tasks.decisions import Failure
from tasks.engine import Engine
from tasks.group_create import create_group
from tasks.group_delete import delete_group
from tasks.group_snapshot_create import create_group_snapshot
from tasks.group_snapshot_delete import delete_group_snapshot
from tasks.message import Message
from tasks.node_list import ask_node
from tasks.registration import InContext, control_task, register
from tasks.reports import take_report
from tasks.snapshot_create import create_snapshot
from tasks.snapshot_delete import delete_snapshot
from tasks.snapshot_manage import manage_snapshot
from tasks.snapshot_unmanage import unmanage_snapshot
from tasks.sweep import answer, sweep
from tasks.volume_connect import connect_volume
from tasks.volume_create import create_volume
from tasks.volume_delete import delete_volume
from tasks.volume_disconnect import disconnect_volume
from tasks.volume_extend import extend_volume
from tasks.volume_manage import manage_volume
from tasks.volume_retype import retype_volume
from tasks.volume_revert import revert_volume
from tasks.volume_unmanage import unmanage_volume

log = structlog.get_logger(__name__)

FLOWS = [
    create_volume,
    delete_volume,
    extend_volume,
    revert_volume,
    connect_volume,
    disconnect_volume,
    create_snapshot,
    delete_snapshot,
    connect_attachment,
    disconnect_attachment,
    create_group,
    delete_group,
    create_group_snapshot,
    delete_group_snapshot,
    manage_volume,
    unmanage_volume,
    retype_volume,
    manage_snapshot,
    unmanage_snapshot,
    ask_node,
]

NODE_ERRORS = {
    "InvalidConnector": 400,
    "InvalidReference": 400,
    "NotSupported": 400,
    "ObjectBusy": 409,
}
"""The status of a request that a node refuses, by the type of its error; else it is a 500."""


def make_sender(settings: Settings) -> Engine:
    """An engine that sends and cancels flows but runs no task; for the API."""
    app = make_app("breezeblock.api", settings)
    return Engine(app, settings, FLOWS)


def make_celery(settings: Settings, role: str = "control") -> Celery:
    """An application with every control-side task, bound to the configured broker and database."""
    app = make_app(f"breezeblock.{role}", settings)
    flask_app = database_app(settings)

    def in_context(work: Callable[[], Any]) -> Any:
        with flask_app.app_context():
            return work()

    @worker_process_init.connect(weak=False)
    def _forget_connections(**_: Any) -> None:
        # A connection that two processes share after a fork mixes up their answers.
        in_context(lambda: db.engine.dispose(close=False))

    engine = Engine(app, settings, FLOWS)
    app.engine = engine
    register(app, engine, in_context)
    _register_reports(app, engine, in_context)
    audit.register(app, engine, in_context)
    return app


def _register_reports(app: Celery, engine: Engine, in_context: InContext) -> None:
    @app.task(name="sweep.tick", shared=False)
    def tick() -> Any:
        """Drive on what has lost its message or its worker."""
        return in_context(lambda: sweep(engine))

    @app.task(name="dead.collect", shared=False)
    def collect() -> Any:
        """Keep what RabbitMQ gave up."""
        return in_context(lambda: dead_letters.collect(app))

    def probe(_task: Task, message: Any) -> None:
        """This queue delivers: everything older in it has been delivered too."""
        answer(message["queue"], message["tick"])

    def report(_task: Task, message: Any) -> None:
        """Write down what a node says of itself."""
        take_report(engine, message)

    def node_failed(task: Task, message: Message) -> dict[str, Any] | None:
        """Turn a flow around after its node's step (or a node's compensation) failed."""
        task.request.chain = None
        return _node_failed(engine, message)

    def parked(_task: Task, message: Any) -> None:
        """Keep a message that its receiver could not understand."""
        dead_letters.keep(message)

    def settled(_task: Task, message: Any) -> None:
        """A node has removed what a flow had left there."""
        retrying(lambda: _settled(message))

    control_task(app, "sweep.probe", in_context, probe, queue=str, tick=int)
    control_task(app, "node.report", in_context, report, host=str, incarnation=dict, sequence=int)
    control_task(
        app, "flow.node_failed", in_context, node_failed, flow=str, kind=str, epoch=int, reply=dict
    )
    control_task(
        app, parcel.TASK, in_context, parked, id=str, task=str, queue=str, reason=str, message=dict
    )
    control_task(app, "residue.settled", in_context, settled, residue=str, node=str, outcome=str)


def _node_failed(engine: Engine, message: Message) -> dict[str, Any] | None:
    reply = message["reply"] or {}
    definition = engine.definitions[message["kind"]]
    for step in definition.steps:
        undoing = step.undo_order is not None and step.undo_name == reply["step"]
        if undoing or (step.on_node and step.name == reply["step"]):
            error = reply["error"]
            error = {"status": NODE_ERRORS.get(error["type"], 500), **error}
            turned = engine.fail(
                message["flow"],
                message["epoch"],
                step,
                Failure(reply["outcome"]),
                error,
                undoing=undoing,
                reply=reply,
            )
            return None if turned else {"ended": "stale"}
    raise ValueError(f"{message['kind']} has no step {reply['step']!r} on a node")


def _settled(message: dict[str, Any]) -> None:
    with writing() as tx:
        residue = tx.get(Residue, message["residue"], with_for_update=True)
        if residue is None or residue.host != message["node"]:
            return
        if message["outcome"] == "done":
            capacity.settle(tx, residue)
        else:
            log.warning("residue not settled", residue=residue.id, error=message["error"])
