"""Queue names, and the router that pins a driver task to the node that was chosen.

Messages go through the anonymous exchange by queue name, so a broker that was emptied needs nothing
declared anew.
"""

from typing import Any

CONTROL = "control"
SCHEDULER = "scheduler"
EVENTS = "events"
SWEEP = "sweep"
DEAD = "dead"
"""Where RabbitMQ puts what it gave up; nobody's tasks are run from it."""
NODE_PREFIX = "node."

CONFIRM_SECONDS = 10.0
"""How long a sender waits for RabbitMQ to confirm a message before it connects anew."""


def node_queue(host: str) -> str:
    """The queue that only the node worker of `host` consumes."""
    return f"{NODE_PREFIX}{host}"


def route(
    name: str,
    args: tuple[Any, ...] = (),
    kwargs: dict[str, Any] | None = None,
    options: dict[str, Any] | None = None,
    task: Any = None,
    **_: Any,
) -> dict[str, Any]:
    """Celery router: a task sent without a queue goes to the node that its message names.

    Celery calls it for every link of a chain at send time, with what the previous step returned.
    """
    del name, kwargs, task
    how = {"confirm_timeout": CONFIRM_SECONDS}
    if options and options.get("queue"):
        return how
    message = args[0] if args else None
    if isinstance(message, dict) and message.get("node"):
        return {"queue": node_queue(message["node"]), **how}
    return {"queue": CONTROL, **how}
