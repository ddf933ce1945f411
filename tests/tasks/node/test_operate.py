"""The path of an operation where timing or a broken part decides: without a broker."""

import sqlite3
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from drivers.base import Created, VolumeRef
from drivers.fake import FakeDriver
from drivers.registry import load_backend
from tasks.node.app import make_node
from tasks.node.backends import Backend
from tasks.node.ledger import Work
from tasks.node.message import Operation, operation
from tasks.node.node import Node
from tasks.node.operate import Ended, carry_out
from tests.tasks.node.support import known_ledger, message, node_settings, set_faults


@pytest.fixture
def node(tmp_path: Path, host: str) -> Iterator[Node]:
    settings = node_settings(tmp_path, host)
    made = make_node(settings, Celery(set_as_current=False))
    known_ledger(settings.node.ledger)
    made.open()
    yield made
    made.close()


def order(
    verb: str = "create", epoch: int = 1, volume_id: str = "", backend: str = "fake"
) -> tuple[str, Work, Operation]:
    asked = message("node", verb, volume_id, epoch=epoch, backend=backend)
    op = operation(asked["op"], verb)
    task = f"volume.create.{verb}"
    work = Work(op.object, epoch, asked["flow"], task, asked["op"], verb == "destroy")
    return asked["ledger"], work, op


def held(node: Node) -> list[str]:
    return [name for name, _ in node.backends["fake"].driver.objects()]


def test_a_create_that_was_overtaken_while_it_waited_makes_nothing(node: Node) -> None:
    volume = str(uuid.uuid4())
    known, create, op = order("create", 1, volume)
    answers: list[Any] = []
    waiting = threading.Thread(target=lambda: answers.append(carry_out(node, known, create, op)))
    with node.ledger.locks.object(create.object, wait=0):
        waiting.start()
        while not node.ledger.running():
            pass
        # The destroy begins behind the create, and would get the lock after it or before it.
        _, destroy, _ = order("destroy", 2, volume)
        node.ledger.begin(destroy)
    waiting.join()

    (answer,) = answers
    assert isinstance(answer, Ended)
    assert answer.how == "stale"
    assert held(node) == []
    assert [run.task for run in node.ledger.running()] == [destroy.task]


def test_without_its_ledger_a_node_does_nothing(node: Node, tmp_path: Path, host: str) -> None:
    with sqlite3.connect(tmp_path / host / "ledger.db") as db:
        db.execute("DROP TABLE records")

    answer = carry_out(node, *order())

    assert not isinstance(answer, Ended)
    assert (answer["outcome"], answer["error"]["type"]) == ("unknown", "LedgerError")
    assert held(node) == []


def test_what_the_ledger_cannot_tell_of_any_more_is_dirty(
    node: Node, tmp_path: Path, host: str
) -> None:
    set_faults(tmp_path, create=[{"fault": "hang"}])
    answers: list[Any] = []
    create = threading.Thread(target=lambda: answers.append(carry_out(node, *order())))
    create.start()
    while not node.ledger.running():
        pass
    with sqlite3.connect(tmp_path / host / "ledger.db") as db:
        db.execute("DROP TABLE records")
    set_faults(tmp_path)
    create.join()

    (answer,) = answers
    assert (answer["outcome"], answer["error"]["type"]) == ("dirty", "LedgerError")
    assert len(held(node)) == 1


class Defective(FakeDriver):
    """A driver with a defect, found after it has made the volume."""

    def create(self, volume: VolumeRef) -> Created:
        super().create(volume)
        raise ZeroDivisionError("a defect")


def test_a_defect_in_a_driver_is_dirty_and_can_be_undone(node: Node) -> None:
    options = load_backend("fake", {"driver": "fake"}).options
    node.backends = {"fake": Backend("fake", Defective("fake", options))}
    volume = str(uuid.uuid4())

    answer = carry_out(node, *order("create", 1, volume))
    undone = carry_out(node, *order("destroy", 2, volume))

    assert not isinstance(answer, Ended)
    assert not isinstance(undone, Ended)
    assert (answer["outcome"], answer["error"]["message"]) == ("dirty", "a defect")
    assert undone["outcome"] == "done"
    assert held(node) == []
