"""What a storage node does to volumes: the steps that its back ends carry out."""

from typing import Any

from celery import Celery, Task

from tasks.node.node import Node
from tasks.node.operate import StepFailedError, operate


def register(app: Celery, node: Node) -> None:
    """Register the tasks on `app`, bound to `node`."""

    def step(name: str) -> Any:
        # shared=False: otherwise Celery gives the task to every other app in the process as well
        return app.task(name=name, bind=True, shared=False, throws=(StepFailedError,))

    @step("volume.create.create")
    def create(self: Task, message: Any) -> dict[str, Any]:
        """Make the volume; returns its provider location."""
        return operate(self, node, message, "create")

    @step("volume.create.destroy")
    def create_destroy(self: Task, message: Any) -> dict[str, Any]:
        """Undo `create`: remove what it made under this object name, whole or half."""
        return operate(self, node, message, "destroy")

    @step("volume.delete.destroy")
    def delete_destroy(self: Task, message: Any) -> dict[str, Any]:
        """Remove the volume for good; the pivot of a delete, so without an undo."""
        return operate(self, node, message, "destroy")

    @step("volume.extend.extend")
    def extend(self: Task, message: Any) -> dict[str, Any]:
        """Grow the volume to the operation's size; the pivot of an extend, so without an undo."""
        return operate(self, node, message, "extend")
