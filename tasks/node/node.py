"""A storage node as its tasks see it: its name, its ledger, its back ends, its way to answer."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from celery import Task

from config.routing import CONTROL
from tasks import parcel
from tasks.node.backends import Backend
from tasks.node.ledger import Ledger
from tasks.node.progress import Progress

Send = Callable[[str, dict[str, Any], str], None]
"""Sends a task by name, with one argument, to a queue."""


class Node:
    """One storage node. Its ledger is there from `open` to `close`.

    `lock_wait` is how long, in seconds, an operation waits for another one on the same object:
    short, because it holds one of the node's threads meanwhile.
    """

    def __init__(
        self,
        host: str,
        ledger_path: Path,
        backends: Mapping[str, Backend],
        send: Send,
        lock_wait: float = 15.0,
    ) -> None:
        self.host = host
        self.backends = backends
        self.lock_wait = lock_wait
        self._ledger_path = ledger_path
        self.send = send
        self.progress = Progress()
        self._ledger: Ledger | None = None

    @property
    def ledger(self) -> Ledger:
        if self._ledger is None:
            raise RuntimeError(f"the ledger of {self.host} is not open")
        return self._ledger

    def open(self) -> None:
        """Begin a new incarnation. Raises LedgerError."""
        if self._ledger is None:
            self._ledger = Ledger(self._ledger_path)

    def close(self) -> None:
        """End the incarnation."""
        if self._ledger is not None:
            self._ledger.close()
            self._ledger = None

    def park(self, task: Task, message: object, reason: str) -> None:
        """Hand the message of a bound task that cannot be worked on to the control plane."""
        self.send(parcel.TASK, parcel.pack_call(task, [message], reason), CONTROL)
