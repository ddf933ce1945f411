"""Residues are settled by the node that may hold them."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

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
