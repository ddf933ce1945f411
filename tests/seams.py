"""Where a process may die or fail in the middle of a task: calls of a function `at(point)`.

The points, in their order. In a control task: begin, transaction, work (where steps are cut),
effect (before its line in the journal), commit (the line is written), committed, send, done. On a
node: begin, fence, fenced,
call and called (around the driver's, with the fake one), acted, recorded, done. After `done` Celery
sends the next message. `begin` and `done` are for who runs the task.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any

import drivers.fake_faults
import tasks.node.node
from tasks.node.ledger import Begin, Ledger, Work

if TYPE_CHECKING:
    from celery import Celery
    from sqlalchemy.orm import Session

    from tasks.definition import Results, Run
    from tasks.definition import Work as Do
    from tasks.dispatch import Outgoing

At = Callable[[str], None]
Put = Callable[[Any, str, Any], None]
"""As `setattr`."""

LOOKS = ("check", "report", "size_of", "objects", "manageable")
"""Calls of a driver that change nothing."""


class WatchedLedger(Ledger):
    """A ledger whose process may die around its writing."""

    at: At

    def begin(self, work: Work) -> Begin:
        self.at("fence")
        begun = super().begin(work)
        self.at("fenced")
        return begun

    def finish(self, work: Work, outcome: str, reply: dict[str, Any]) -> None:
        self.at("acted")
        super().finish(work, outcome, reply)
        self.at("recorded")


def cut_control(at: At, put: Put) -> None:
    """Into what runs the tasks of control and scheduler workers."""
    import tasks.app
    import tasks.engine
    import tasks.reports
    import tasks.sweep
    from db import journal, transactions
    from tasks import dispatch

    real_writing, real_append, real_send = transactions.writing, journal.append, dispatch.send

    @contextmanager
    def writing() -> "Iterator[Session]":
        at("transaction")
        with real_writing() as tx:
            yield tx
            at("commit")
        at("committed")

    def append(*args: Any, **kwargs: Any) -> None:
        at("effect")
        real_append(*args, **kwargs)

    def send(app: "Celery", outgoing: "Outgoing") -> None:
        at("send")
        real_send(app, outgoing)

    for module in (tasks.app, tasks.engine, tasks.reports, tasks.sweep):
        put(module, "writing", writing)
    put(journal, "append", append)
    put(dispatch, "send", send)


def cut_steps(at: At, put: Put) -> None:
    """Into every step of the flows themselves, before the tasks are made of them."""
    from tasks.app import FLOWS

    def announced(work: "Do") -> "Do":
        @wraps(work)
        def do(run: "Run") -> "Results":
            at("work")
            return work(run)

        return do

    for definition in FLOWS:
        for step in definition.steps:
            if step.do is not None:
                put(step, "do", announced(step.do))


def cut_node(at: At, put: Put) -> None:
    """Into a node's ledger and its fake driver."""
    real = drivers.fake_faults.Faults.around

    @contextmanager
    def around(self: drivers.fake_faults.Faults, call: str, name: str = "") -> Iterator[None]:
        if call in LOOKS:
            with real(self, call, name):
                yield
            return
        at("call")
        with real(self, call, name):
            yield
        at("called")

    put(drivers.fake_faults.Faults, "around", around)
    put(tasks.node.node, "Ledger", type("Watched", (WatchedLedger,), {"at": staticmethod(at)}))
