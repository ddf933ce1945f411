"""The queues of kombu's `memory://`, read by hand: what a worker would do is for a test to say."""

import base64
import json
from collections import deque
from dataclasses import dataclass
from typing import Any

from kombu.transport import memory


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message as it came out of a queue; `payload` is what the broker holds."""

    queue: str
    payload: dict[str, Any]

    @property
    def task(self) -> str:
        return str(self.payload["headers"]["task"])

    @property
    def body(self) -> tuple[list[Any], dict[str, Any], dict[str, Any]]:
        """Arguments, and what Celery adds: the rest of the chain."""
        args, kwargs, embedded = json.loads(base64.b64decode(self.payload["body"]))
        return args, kwargs, embedded

    @property
    def message(self) -> dict[str, Any]:
        args = self.body[0]
        return dict(args[0]) if args else {}


class Broker:
    """The queues of `memory://`, which all apps of the process share, read by hand."""

    def __init__(self) -> None:
        memory.Channel.queues.clear()

    def holds(self, queue: str) -> bool:
        """Whether a queue has a message."""
        return bool(self._waiting(queue))

    def take(self, queue: str) -> Delivery:
        """The oldest message of a queue."""
        return Delivery(queue, self._waiting(queue).popleft())

    def put(self, delivery: Delivery, *, front: bool = False) -> None:
        """Give a message back."""
        waiting = self._waiting(delivery.queue)
        (waiting.appendleft if front else waiting.append)(delivery.payload)

    def flush(self) -> None:
        """The broker loses everything."""
        for queue in list(memory.Channel.queues):
            self._waiting(queue).clear()

    def _waiting(self, queue: str) -> deque[dict[str, Any]]:
        known = memory.Channel.queues.get(queue)
        return known.queue if known is not None else deque()
