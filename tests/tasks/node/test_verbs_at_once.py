"""Operations that read what others work on, at once; and what is told of those that take long."""

import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from config.settings import Settings
from drivers.base import Created, Driver, VolumeRef
from drivers.fake import FakeDriver
from drivers.fake_store import FileStore
from drivers.progress import moved
from drivers.registry import load_backend
from tasks.node import app as node_app
from tasks.node.node import Node
from tests.tasks.node.support import (
    FINISH,
    Harness,
    do,
    message,
    named,
    node_settings,
    order,
    running_node,
    set_faults,
    source,
)


@pytest.fixture
def settings(tmp_path: Path, host: str) -> Settings:
    return node_settings(tmp_path, host)


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "objects")


@pytest.fixture
def threaded(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Harness]:
    """A node with threads, as it really runs, that waits for a lock only for a short time."""
    monkeypatch.setattr(node_app, "Node", partial(Node, lock_wait=0.3))
    with running_node(settings, pool="threads") as harness:
        yield harness


def test_two_volumes_are_made_from_one_snapshot_at_once_and_it_stays_meanwhile(
    threaded: Harness, tmp_path: Path, store: FileStore
) -> None:
    volume, snapshot, made = named("volume"), named("snapshot"), [named("volume") for _ in "ab"]
    do(threaded, "volume.create.create", volume)
    do(threaded, "snapshot.create.create", snapshot, source=source(volume))
    set_faults(tmp_path, create_from_snapshot=[{"fault": "hang"}])
    for name in made:
        create = order(threaded.host, "volume.create.create", name, source=source(snapshot))
        threaded.send("volume.create.create", create)
    while len(threaded.next_report(running=...)["running"]) < 2:
        pass

    late = do(threaded, "snapshot.delete.destroy", snapshot, epoch=2, source=source(volume))
    revert = do(threaded, "volume.revert.revert", made[0], epoch=2, source=source(snapshot))

    # An earlier attempt at the same destroy may be what holds the snapshot: no one can say.
    assert (late["outcome"], late["error"]["type"]) == ("unknown", "DriverTimeout")
    assert revert["outcome"] == "unknown"
    set_faults(tmp_path)
    assert {threaded.next().task for _ in made} == {FINISH}
    assert dict(store.items()) == {volume: 1, snapshot: 1, made[0]: 1, made[1]: 1}


def test_a_source_that_something_works_on_is_busy_and_nothing_is_left(
    threaded: Harness, tmp_path: Path, store: FileStore
) -> None:
    volume, clone = named("volume"), named("volume")
    do(threaded, "volume.create.create", volume)
    set_faults(tmp_path, extend=[{"fault": "hang"}])
    extend = order(threaded.host, "volume.extend.extend", volume, epoch=2, size_gib=2)
    threaded.send("volume.extend.extend", extend)
    threaded.next_report(running=...)

    reply = do(threaded, "volume.create.create", clone, size_gib=2, source=source(volume))

    assert (reply["outcome"], reply["error"]["type"]) == ("clean", "ObjectBusy")
    set_faults(tmp_path)
    assert threaded.next().task == FINISH
    assert dict(store.items()) == {volume: 2}


class Copying(FakeDriver):
    """Its creates take long, and move something as long as they are let."""

    moving = threading.Event()
    done = threading.Event()

    def create(self, volume: VolumeRef) -> Created:
        while not self.done.wait(0.02):
            if self.moving.is_set():
                moved(1)
        return super().create(volume)


def test_a_copy_that_moves_bytes_does_not_hang(
    tmp_path: Path, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = node_settings(tmp_path, host, BACKENDS__FAKE__OPERATION_TIMEOUT="0.6")

    def load(name: str, table: dict[str, Any]) -> Driver:
        return Copying(name, load_backend(name, table).options)

    monkeypatch.setattr(node_app, "load_backend", load)
    Copying.moving.set()
    with running_node(settings, pool="threads") as node:
        node.send("volume.create.create", message(host))
        begun = time.monotonic()
        while time.monotonic() - begun < 1.5:
            (run,) = node.next_report(running=...)["running"]
            assert not run["hung"]
        assert run["seconds"] > 0.6

        Copying.moving.clear()
        while not run["hung"]:
            (run,) = node.next_report(running=...)["running"]

        Copying.done.set()
        assert node.next().task == FINISH
