"""Queue names, and the router that pins a driver task to the node that was chosen.

Messages go through the anonymous exchange by queue name, so a broker that was emptied needs nothing
declared anew.
"""

from typing import Any

CONTROL = "control"
SCHEDULER = "scheduler"
EVENTS = "events"
SWEEP = "sweep"
NODE_PREFIX = "node."


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
) -> dict[str, str] | None:
    """Celery router: a task sent without a queue goes to the node that its message names.

    Celery calls it for every link of a chain at send time, with what the previous step returned.
    """
    del name, kwargs, task
    if options and options.get("queue"):
        return None
    message = args[0] if args else None
    if isinstance(message, dict) and message.get("node"):
        return {"queue": node_queue(message["node"])}
    return None
