"""Residues are settled by the node that may hold them."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from drivers.fake_store import FileStore
from tasks.node.steps import STEPS
from tests.tasks.node.support import (
    LEDGER,
    Harness,
    message,
    node_settings,
    running_node,
    set_faults,
)

CREATE, SETTLE = "volume.create.create", "node.settle_residue"


@pytest.fixture
def node(tmp_path: Path, host: str) -> Iterator[Harness]:
    with running_node(node_settings(tmp_path, host)) as harness:
        yield harness


def residue(host: str, volume_id: str, epoch: int) -> dict[str, Any]:
    return {
        "v": 1,
        "residue": "residue-1",
        "epoch": epoch,
        "ledger": LEDGER,
        "op": message(host, "destroy", volume_id)["op"],
    }


def test_what_was_left_is_destroyed_and_cannot_come_back(
    node: Harness, tmp_path: Path, host: str
) -> None:
    set_faults(tmp_path, create=[{"fault": "lose", "times": 1}])
    create = message(host)
    node.send(CREATE, create)
    assert node.next().body["reply"]["outcome"] == "unknown"

    node.send_alone(SETTLE, residue(host, create["resource"], epoch=2))

    settled = {"v": 1, "residue": "residue-1", "node": host, "outcome": "done", "error": None}
    assert node.next() == ("residue.settled", settled)
    node.send(CREATE, {**create, "epoch": 3})
    assert node.next().body["reply"]["error"]["type"] == "ObjectBuriedError"


@pytest.mark.parametrize(("epoch", "outcome"), [(3, "done"), (2, "failed")])
def test_asked_again_it_answers_again_but_an_older_epoch_settles_nothing(
    node: Harness, host: str, epoch: int, outcome: str
) -> None:
    volume = str(uuid.uuid4())
    node.send_alone(SETTLE, residue(host, volume, epoch=3))
    assert node.next().body["outcome"] == "done"

    node.send_alone(SETTLE, residue(host, volume, epoch))

    assert node.next().body["outcome"] == outcome


def of(host: str, verb: str, kind: str, epoch: int = 2) -> dict[str, Any]:
    asked = residue(host, str(uuid.uuid4()), epoch)
    volume = asked["op"]["object"]
    name = f"{kind}-{uuid.uuid4()}"
    source = {"kind": "volume", "object": volume, "size_gib": 1}
    asked["op"] |= {"verb": verb, "object": name, "source": source}
    return asked


def test_a_snapshot_a_connection_and_an_adoption_are_undone(
    node: Harness, tmp_path: Path, host: str
) -> None:
    store = FileStore(tmp_path / "objects")
    snapshot = of(host, "destroy_snapshot", "snapshot")
    connection = of(host, "disconnect", "attachment")
    adoption = of(host, "release", "volume")
    store.put(snapshot["op"]["object"], "fake", 1, None)
    store.connect(connection["op"]["object"], "volume-1")
    store.put(adoption["op"]["object"], "fake", 2, None)
    adoption["op"]["reference"] = {"source-name": "legacy"}

    for asked in (snapshot, connection, adoption):
        node.send_alone(SETTLE, asked)
        assert node.next().body["outcome"] == "done"

    assert store.items() == [("legacy", 2)]
    assert store.connections() == {}


def test_what_was_only_undone_may_come_again_but_what_was_destroyed_may_not(
    node: Harness, tmp_path: Path, host: str
) -> None:
    for verb, task, kind, ends in (
        ("disconnect", "attachment.connect.connect", "attachment", "done"),
        ("destroy_snapshot", "snapshot.create.create", "snapshot", "clean"),
    ):
        settled = of(host, verb, kind)
        FileStore(tmp_path / "objects").put(settled["op"]["source"]["object"], "fake", 1, None)
        node.send_alone(SETTLE, settled)
        node.next()
        op = settled["op"] | {"connector": {"host": "a"}, "mode": "rw", "verb": STEPS[task]}

        node.send(task, message(host, epoch=3, op=op))

        assert node.next().body["reply"]["outcome"] == ends


@pytest.mark.parametrize("verb", ["create", "connect", "adopt", "extend", "x"])
def test_a_verb_that_undoes_nothing_is_parked(node: Harness, host: str, verb: str) -> None:
    node.send_alone(SETTLE, of(host, verb, "volume"))

    assert node.next().task == "flow.parked"


def test_nothing_there_is_settled_too(node: Harness, host: str) -> None:
    node.send_alone(SETTLE, residue(host, str(uuid.uuid4()), epoch=1))

    assert node.next().body["outcome"] == "done"


def test_a_residue_that_could_not_be_settled_may_be_asked_for_again(
    node: Harness, tmp_path: Path, host: str
) -> None:
    set_faults(tmp_path, delete=[{"fault": "fail_before", "times": 1}])
    asked = residue(host, str(uuid.uuid4()), epoch=1)

    node.send_alone(SETTLE, asked)
    failed = node.next().body
    node.send_alone(SETTLE, asked)

    assert failed["outcome"] == "failed"
    assert "told to fail" in failed["error"]["message"]
    assert node.next().body["outcome"] == "done"


def test_a_residue_that_is_not_understood_is_parked(node: Harness, host: str) -> None:
    node.send_alone(SETTLE, {**residue(host, str(uuid.uuid4()), 1), "residue": None})

    assert node.next().task == "flow.parked"
