"""A message that its receiver cannot work on, packed up to be kept, looked at and sent again.

Used on both sides of the broker. A parcel is the one argument of the task `flow.parked`:
`{"v", "id", "task", "queue", "reason", "message"}`, where `message` holds `args`, `kwargs` and the
rest of the `chain`, or of what is no task message the `body` (base64) with its `content_type`,
`content_encoding` and `headers`.
"""

import base64
import json
import uuid
from typing import Any

from kombu.message import Message as Delivery

from tasks.message import VERSION

TASK = "flow.parked"
"""The task of the control workers that keeps a parcel."""


class NoTaskError(ValueError):
    """It is not the message of a task."""


def contents(delivery: Delivery) -> tuple[str, dict[str, Any]]:
    """The task's name, and `args`, `kwargs` and `chain`. Raises NoTaskError, which says why."""
    headers = delivery.headers
    name = headers.get("task") if isinstance(headers, dict) else None
    if not isinstance(name, str) or not isinstance(headers.get("id"), str):
        raise NoTaskError("it names no task")
    try:
        body = delivery.payload
    except Exception as error:  # a decoder may raise anything, and all of it means the same
        raise NoTaskError(f"its body cannot be decoded ({type(error).__name__})") from error
    match body:
        case [list(args), dict(kwargs), dict(embedded)]:
            return name, {"args": args, "kwargs": kwargs, "chain": embedded.get("chain") or []}
    raise NoTaskError("its body is not of arguments")


def pack(delivery: Delivery, reason: str, queue: str | None = None) -> dict[str, Any]:
    """The parcel of a message as it came out of its queue, which is asked of it if not given."""
    queue = queue or str((delivery.delivery_info or {}).get("routing_key", ""))
    headers = delivery.headers if isinstance(delivery.headers, dict) else {}
    try:
        task, message = contents(delivery)
    except NoTaskError:
        task, message = str(headers.get("task", "")), _raw(delivery, headers)
    return parcel(str(headers.get("id", "")), task, queue, reason, message)


def pack_call(task: Any, args: list[Any], reason: str) -> dict[str, Any]:
    """The parcel of the message that the bound Celery `task` runs at the moment."""
    request = task.request
    return parcel(
        str(request.id),
        task.name,
        str((request.delivery_info or {}).get("routing_key", "")),
        reason,
        {"args": args, "kwargs": {}, "chain": request.chain or []},
    )


def parcel(id_: str, task: str, queue: str, reason: str, message: dict[str, Any]) -> dict[str, Any]:
    """A parcel; `id_` makes it known again when it is delivered twice."""
    return {
        "v": VERSION,
        "id": id_ if _is_uuid(id_) else str(uuid.uuid4()),
        "task": task,
        "queue": queue,
        "reason": reason,
        "message": message,
    }


def _raw(delivery: Delivery, headers: dict[str, Any]) -> dict[str, Any]:
    body = delivery.body
    data = body if isinstance(body, bytes) else str(body).encode(errors="surrogatepass")
    return {
        "body": base64.b64encode(data).decode(),
        "content_type": str(delivery.content_type or ""),
        "content_encoding": str(delivery.content_encoding or ""),
        # what JSON cannot carry, such as a time, is kept as text
        "headers": json.loads(json.dumps(headers, default=str)),
    }


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False
