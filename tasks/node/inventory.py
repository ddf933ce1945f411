"""What a back end really holds, for the audit."""

import uuid
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from celery import Celery, Task

from config.routing import CONTROL
from drivers.errors import DriverError
from tasks.message import UnintelligibleError, understood
from tasks.node.node import Node

CHUNK = 5000
"""Objects in one message."""


def register(app: Celery, node: Node) -> None:
    """Register the task on `app`, bound to `node`."""

    @app.task(name="node.inventory", bind=True, shared=False)
    def inventory(self: Task, message: Any) -> None:
        """List the objects of one back end in `audit.inventory` messages.

        They are numbered by `part` from 0; the one with `last` true ends the list, and its `error`
        says why the list is not whole, or is null. `listing` tells this list from another one that
        is made when the same message comes twice: the parts of two do not make a whole.
        """
        try:
            body = understood(message, audit=str, backend=str)
        except UnintelligibleError as error:
            node.park(self, message, str(error))
            return
        listing = str(uuid.uuid4())
        for part, (objects, last, reason) in enumerate(_parts(node, body["backend"])):
            node.send(
                "audit.inventory",
                {
                    "v": 1,
                    "audit": body["audit"],
                    "node": node.host,
                    "backend": body["backend"],
                    "listing": listing,
                    "part": part,
                    "last": last,
                    "error": reason,
                    "objects": objects,
                },
                CONTROL,
            )


def _parts(node: Node, name: str) -> Iterator[tuple[list[tuple[str, int]], bool, str | None]]:
    backend = node.backends.get(name)
    if backend is None:
        yield [], True, f"{node.host} has no back end {name}"
        return
    try:
        # An unavailable back end must not look like an empty one.
        backend.driver.check()
        for chunk in _chunks(backend.driver.objects(), CHUNK):
            yield chunk, len(chunk) < CHUNK, None
    except DriverError as error:
        yield [], True, str(error)


def _chunks(items: Iterable[tuple[str, int]], size: int) -> Iterator[list[tuple[str, int]]]:
    """Lists of `size`, the last one shorter, and empty if need be."""
    iterator = iter(items)
    while len(chunk := list(islice(iterator, size))) == size:
        yield chunk
    yield chunk
