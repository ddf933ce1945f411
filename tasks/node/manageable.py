"""What a back end holds that could be managed, for the request that waits for it."""

from typing import Any

from celery import Celery, Task

from drivers.base import Manages
from drivers.errors import DriverError, NotSupported
from drivers.names import Manageable
from tasks.message import UnintelligibleError, understood, with_keys
from tasks.node.node import Node
from tasks.node.operate import StepFailedError, hand_on, now, reply, usable


def register(app: Celery, node: Node) -> None:
    """Register the task on `app`, bound to `node`."""

    @app.task(name="node.list_manageable", bind=True, shared=False, throws=(StepFailedError,))
    def list_manageable(self: Task, message: Any) -> dict[str, Any]:
        """List the volumes or snapshots (the operation's `what`) of a back end.

        A step of a flow of the kind `node`, whose result `manageable` has for each object
        `reference`, `size_gib`, `object` (its name if it is ours, or null) and `reason` (why it
        cannot be adopted, or null). It changes nothing, so the ledger does not know of it.
        """
        try:
            body = understood(message, flow=str, epoch=int, node=str, op=dict)
            op = with_keys(body["op"], {"backend": str, "what": str})
            if op["what"] not in ("volumes", "snapshots"):
                raise UnintelligibleError("what is neither volumes nor snapshots")
        except UnintelligibleError as error:
            node.park(self, message, str(error))
            self.request.chain = None
            return {"ended": "parked", "reason": str(error)}
        started = now()
        try:
            found = {"manageable": [_told(one) for one in _found(node, op)]}
            answer = reply(node, self.name, started, "done", result=found)
        except DriverError as error:
            answer = reply(node, self.name, started, error.left, error=error)
        return hand_on(node, body, answer)


def _found(node: Node, op: dict[str, Any]) -> list[Manageable]:
    driver = usable(node, op["backend"])
    if not isinstance(driver, Manages):
        raise NotSupported(f"the driver {driver.name} has no manages")
    # An unavailable back end must not look like an empty one.
    driver.check()
    return list(driver.manageable(op["what"]))


def _told(one: Manageable) -> dict[str, Any]:
    return {
        "reference": one.reference,
        "size_gib": one.size_gib,
        "object": one.object_name,
        "reason": one.reason,
    }
