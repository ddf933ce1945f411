"""The steps of flows that are done on a node: their tasks, and the verb of each.

A step's name ends in what its function is called in the flow's module; a compensation stands under
the step that it undoes. What a verb does is in `tasks.node.verbs`.
"""

from collections.abc import Mapping
from typing import Any

from celery import Celery, Task

from tasks.node.node import Node
from tasks.node.operate import StepFailedError, operate

STEPS: Mapping[str, str] = {
    "volume.create.create": "create",
    "volume.create.destroy": "destroy",
    "volume.delete.destroy": "destroy",
    "volume.extend.extend": "extend",
    "volume.revert.revert": "revert",
    "volume.connect.connect": "connect",
    "volume.connect.disconnect": "disconnect",
    "volume.disconnect.disconnect": "disconnect",
    "volume.manage.adopt": "adopt",
    "volume.manage.release": "release",
    "volume.unmanage.release": "release",
    "snapshot.create.create": "create_snapshot",
    "snapshot.create.destroy": "destroy_snapshot",
    "snapshot.delete.destroy": "destroy_snapshot",
    "snapshot.manage.adopt": "adopt",
    "snapshot.manage.release": "release",
    "snapshot.unmanage.release": "release",
    "attachment.connect.connect": "connect",
    "attachment.connect.disconnect": "disconnect",
    "attachment.disconnect.disconnect": "disconnect",
}


def register(app: Celery, node: Node) -> None:
    """Register the tasks on `app`, bound to `node`."""
    for name, verb in STEPS.items():
        _register(app, node, name, verb)


def _register(app: Celery, node: Node, name: str, verb: str) -> None:
    def step(self: Task, message: Any) -> dict[str, Any]:
        return operate(self, node, message, verb)

    step.__doc__ = f"Do `{verb}` on this node."
    # shared=False: otherwise Celery gives the task to every other app in the process as well
    app.task(step, name=name, bind=True, shared=False, throws=(StepFailedError,))
