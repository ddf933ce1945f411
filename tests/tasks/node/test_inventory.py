"""The inventory lists what a back end really holds, in parts."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.node import inventory
from tests.tasks.node.support import Harness, message, node_settings, running_node, set_faults


@pytest.fixture
def node(tmp_path: Path, host: str) -> Iterator[Harness]:
    with running_node(node_settings(tmp_path, host)) as harness:
        yield harness


def ask(node: Harness, backend: str = "fake") -> list[dict[str, Any]]:
    node.send_alone("node.inventory", {"v": 1, "audit": "audit-1", "backend": backend})
    parts = [node.next()]
    while not parts[-1].body["last"]:
        parts.append(node.next())
    assert {part.task for part in parts} == {"audit.inventory"}
    return [part.body for part in parts]


@pytest.mark.parametrize(("count", "parts"), [(0, 1), (1, 1), (2, 2), (5, 3)])
def test_every_object_is_listed_once(
    node: Harness, host: str, monkeypatch: pytest.MonkeyPatch, count: int, parts: int
) -> None:
    monkeypatch.setattr(inventory, "CHUNK", 2)
    asked = [message(host, size_gib=n + 1) for n in range(count)]
    for create in asked:
        node.send("volume.create.create", create)
        node.next()

    answer = ask(node)

    listed = [tuple(found) for part in answer for found in part["objects"]]
    assert sorted(listed) == sorted((m["op"]["object"], m["op"]["size_gib"]) for m in asked)
    assert [part["part"] for part in answer] == list(range(parts))
    assert {(p["audit"], p["node"], p["backend"]) for p in answer} == {("audit-1", host, "fake")}
    assert all(part["error"] is None for part in answer)
    assert len({part["listing"] for part in answer}) == 1
    assert {part["listing"] for part in answer} != {part["listing"] for part in ask(node)}


def test_a_back_end_that_is_down_does_not_pass_for_empty(node: Harness, tmp_path: Path) -> None:
    set_faults(tmp_path, check=[{"fault": "fail_before"}])

    (part,) = ask(node)

    assert "told to fail" in part["error"]


def test_a_back_end_that_is_not_there_is_named(node: Harness, host: str) -> None:
    (part,) = ask(node, "gone")

    assert part["error"] == f"{host} has no back end gone"
