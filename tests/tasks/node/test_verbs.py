"""What a node is asked beside creating, deleting and extending: by its tasks, through a broker."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from config.settings import Settings
from drivers.base import Created, Driver, PoolReport, VolumeRef
from drivers.errors import NotSupported
from drivers.fake_store import FileStore
from drivers.registry import load_backend
from tasks.message import UnintelligibleError
from tasks.node import app as node_app
from tasks.node.message import operation
from tasks.node.steps import STEPS
from tasks.node.verbs import VERBS, locks, perform
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

CONNECTOR = {"host": "compute-1"}


@pytest.fixture
def settings(tmp_path: Path, host: str) -> Settings:
    return node_settings(tmp_path, host)


@pytest.fixture
def node(settings: Settings) -> Iterator[Harness]:
    with running_node(settings) as harness:
        yield harness


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "objects")


def test_every_task_does_a_verb_and_every_verb_has_a_task(settings: Settings) -> None:
    app = node_app.make_node_celery(settings)

    assert set(STEPS.values()) == set(VERBS)
    assert set(STEPS) | {"node.list_manageable"} <= set(app.tasks)


def test_a_snapshot_from_its_volume_to_its_end(node: Harness, store: FileStore) -> None:
    volume, snapshot = named("volume"), named("snapshot")
    copy, clone = named("volume"), named("volume")
    do(node, "volume.create.create", volume)

    made = do(node, "snapshot.create.create", snapshot, source=source(volume))
    assert (made["step"], made["outcome"]) == ("create", "done")
    assert made["result"] == {"provider_location": f"fake:fake/{snapshot}"}
    for name, origin in ((copy, snapshot), (clone, volume)):
        made = do(node, "volume.create.create", name, size_gib=3, source=source(origin))
        assert made["result"] == {"provider_location": f"fake:fake/{name}"}
    done = do(node, "volume.revert.revert", volume, epoch=2, source=source(snapshot))
    assert done["outcome"] == "done"
    assert dict(store.items()) == {volume: 1, snapshot: 1, copy: 3, clone: 3}

    gone = do(node, "snapshot.delete.destroy", snapshot, epoch=2, source=source(volume))
    assert gone["outcome"] == "done"
    assert dict(store.items()) == {volume: 1, copy: 3, clone: 3}
    again = do(node, "snapshot.create.create", snapshot, epoch=3, source=source(volume))
    assert (again["outcome"], again["error"]["type"]) == ("clean", "ObjectBuriedError")


def test_a_volume_smaller_than_its_source_is_refused(node: Harness, store: FileStore) -> None:
    volume, snapshot = named("volume"), named("snapshot")
    do(node, "volume.create.create", volume, size_gib=2)
    do(node, "snapshot.create.create", snapshot, size_gib=2, source=source(volume, 2))

    for origin in (volume, snapshot):
        reply = do(node, "volume.create.create", named("volume"), source=source(origin, 2))
        assert (reply["outcome"], reply["error"]["type"]) == ("clean", "NotSupported")

    assert dict(store.items()) == {volume: 2, snapshot: 2}


@pytest.mark.parametrize(
    ("connect", "undo", "disconnect", "own"),
    [
        ("attachment.connect.connect", "attachment.connect.disconnect", None, False),
        ("attachment.connect.connect", "attachment.disconnect.disconnect", None, False),
        ("volume.connect.connect", "volume.connect.disconnect", CONNECTOR, True),
        ("volume.connect.connect", "volume.disconnect.disconnect", CONNECTOR, True),
    ],
)
def test_a_connection_is_made_ended_and_made_again(
    node: Harness, store: FileStore, connect: str, undo: str, disconnect: Any, own: bool
) -> None:
    volume = named("volume")
    name = volume if own else named("attachment")
    do(node, "volume.create.create", volume)
    asked = {"source": source(volume), "connector": CONNECTOR, "mode": "ro"}

    reply = do(node, connect, name, epoch=2, **asked)

    assert reply["result"]["connection_info"] == {
        "driver_volume_type": "fake",
        "data": {"volume": f"fake:fake/{volume}", "access_mode": "ro"},
    }
    assert store.connections() == {name: volume}
    ended = {**asked, "connector": disconnect}
    assert do(node, undo, name, epoch=3, **ended)["outcome"] == "done"
    assert do(node, undo, name, epoch=4, **ended)["outcome"] == "done"
    assert store.connections() == {}
    assert do(node, connect, name, epoch=5, **asked)["outcome"] == "done"


def test_a_connector_that_lacks_something_is_refused_by_name(node: Harness) -> None:
    volume = named("volume")
    do(node, "volume.create.create", volume)

    reply = do(
        node,
        "attachment.connect.connect",
        named("attachment"),
        source=source(volume),
        connector={"ip": "192.0.2.7"},
        mode="rw",
    )

    assert (reply["outcome"], reply["error"]["type"]) == ("clean", "InvalidConnector")
    assert "host" in reply["error"]["message"]


@pytest.mark.parametrize("kind", ["volume", "snapshot"])
def test_an_object_is_let_go_and_taken_in_again(node: Harness, store: FileStore, kind: str) -> None:
    old, new = named(kind), named(kind)
    store.put(old, "fake", 3, None)

    assert do(node, f"{kind}.unmanage.release", old)["outcome"] == "done"
    ((name, _),) = store.items()
    reply = do(node, f"{kind}.manage.adopt", new, size_gib=0, reference={"source-name": name})

    assert reply["result"] == {"provider_location": f"fake:fake/{new}", "size_gib": 3}
    assert dict(store.items()) == {new: 3}
    undone = do(node, f"{kind}.manage.release", new, epoch=2, reference={"source-name": name})
    assert undone["outcome"] == "done"
    assert dict(store.items()) == {name: 3}


def test_a_reference_to_nothing_is_refused(node: Harness) -> None:
    reply = do(node, "volume.manage.adopt", named("volume"), reference={"source-name": "x"})

    assert (reply["outcome"], reply["error"]["type"]) == ("clean", "InvalidReference")


@pytest.mark.parametrize(("what", "own"), [("volumes", "volume"), ("snapshots", "snapshot")])
def test_what_could_be_managed_is_listed(
    node: Harness, store: FileStore, what: str, own: str
) -> None:
    names = {kind: named(kind) for kind in ("volume", "snapshot")}
    for name in ("legacy", *names.values()):
        store.put(name, "fake", 2, None)
    asked = message(node.host, "list_manageable")
    asked["op"]["what"] = what

    node.send("node.list_manageable", asked)

    task, body = node.next()
    assert task == FINISH
    assert body["reply"]["step"] == "list_manageable"
    assert sorted(body["reply"]["result"]["manageable"], key=str) == sorted(
        [
            {
                "reference": {"source-name": "legacy"},
                "size_gib": 2,
                "object": None,
                "reason": None,
            },
            {
                "reference": {"source-name": names[own]},
                "size_gib": 2,
                "object": names[own],
                "reason": "already managed",
            },
        ],
        key=str,
    )


def test_a_back_end_that_is_down_does_not_pass_for_one_without_anything_to_manage(
    node: Harness, tmp_path: Path
) -> None:
    set_faults(tmp_path, check=[{"fault": "fail_before", "message": "the cable is out"}])
    asked = message(node.host, "list_manageable")
    asked["op"]["what"] = "volumes"

    node.send("node.list_manageable", asked)

    task, body = node.next()
    assert task == "flow.node_failed"
    assert "the cable is out" in body["reply"]["error"]["message"]


def test_a_question_that_is_not_understood_is_parked(node: Harness) -> None:
    asked = message(node.host, "list_manageable")
    asked["op"]["what"] = "everything"

    node.send("node.list_manageable", asked)

    assert node.next().task == "flow.parked"
    assert node.quiet()


@pytest.mark.parametrize(
    ("task", "op"),
    [
        ("snapshot.create.create", {}),
        ("snapshot.create.create", {"source": {"kind": "volume"}}),
        ("snapshot.create.create", {"source": {"kind": "group", "object": "x", "size_gib": 1}}),
        ("snapshot.create.create", {"source": "volume-1"}),
        ("volume.create.create", {"source": {}}),
        ("attachment.connect.connect", {"source": source("volume-1"), "mode": "rw"}),
        (
            "attachment.connect.connect",
            {"source": source("volume-1"), "mode": "x", "connector": CONNECTOR},
        ),
        ("attachment.disconnect.disconnect", {"source": source("volume-1"), "connector": "x"}),
        ("volume.manage.adopt", {}),
        ("volume.manage.adopt", {"reference": "name"}),
    ],
)
def test_an_operation_that_lacks_something_is_not_understood(task: str, op: dict[str, Any]) -> None:
    asked = order("node", task, named(task.partition(".")[0]), **op)["op"]

    with pytest.raises(UnintelligibleError):
        operation(asked, STEPS[task])


def test_names_that_no_driver_may_get_leave_nothing(node: Harness, store: FileStore) -> None:
    volume = named("volume")
    do(node, "volume.create.create", volume)
    bad = "../../etc/passwd"

    for task, name, op in (
        ("snapshot.create.create", bad, {"source": source(volume)}),
        ("snapshot.create.create", volume, {"source": source(volume)}),
        ("snapshot.create.create", named("snapshot"), {"source": source(volume) | {"object": bad}}),
        ("volume.create.create", named("volume"), {"source": source(volume) | {"object": bad}}),
        ("volume.revert.revert", volume, {"source": source(bad) | {"kind": "snapshot"}}),
        ("volume.manage.adopt", bad, {"reference": {"source-name": "x"}}),
        ("volume.unmanage.release", bad, {}),
    ):
        reply = do(node, task, name, epoch=9, **op)
        assert (reply["outcome"], reply["error"]["type"]) == ("clean", "NotSupported"), task

    assert dict(store.items()) == {volume: 1}


@pytest.mark.parametrize("verb", [name for name, one in VERBS.items() if one.ability is not Driver])
def test_what_a_driver_cannot_do_is_said_and_leaves_nothing(verb: str) -> None:
    options = load_backend("fake", {"driver": "fake"}).options
    op = operation(
        {
            **message("node", verb)["op"],
            "source": source(named("volume")),
            "connector": CONNECTOR,
            "mode": "rw",
            "reference": {"source-name": "x"},
        },
        verb,
    )

    with pytest.raises(NotSupported, match="driver plain has no") as refused:
        perform(Plain("fake", options), op)

    assert refused.value.left == "clean"


class Plain(Driver):
    """A driver that can only do what every driver can, and is not asked for that."""

    name = "plain"
    protocol = "none"

    def check(self) -> None:
        raise AssertionError

    def report(self) -> list[PoolReport]:
        raise AssertionError

    def create(self, volume: VolumeRef) -> Created:
        raise AssertionError

    def delete(self, volume: VolumeRef) -> None:
        raise AssertionError

    def extend(self, volume: VolumeRef, size_gib: int) -> None:
        raise AssertionError

    def size_of(self, volume: VolumeRef) -> int | None:
        raise AssertionError

    def objects(self) -> Iterator[tuple[str, int]]:
        raise AssertionError


def test_what_is_only_read_is_shared_and_locks_have_an_order() -> None:
    volume, other, snapshot = "volume-2", "volume-1", "snapshot-3"
    attachment = "attachment-4"

    def of(task: str, name: str, origin: str) -> list[tuple[str, bool]]:
        asked = order("n", task, name, source=source(origin), connector=CONNECTOR, mode="rw")
        return locks(operation(asked["op"], STEPS[task]))

    assert of("volume.create.create", volume, other) == [(other, True), (volume, False)]
    assert of("volume.create.create", other, volume) == [(other, False), (volume, True)]
    assert of("volume.create.destroy", volume, other) == [(volume, False)]
    assert of("volume.revert.revert", volume, snapshot) == [(snapshot, True), (volume, False)]
    assert of("attachment.connect.connect", attachment, volume) == [
        (attachment, False),
        (volume, True),
        (f"{volume} connections", False),
    ]
    assert of("volume.connect.connect", volume, volume) == [
        (volume, False),
        (f"{volume} connections", False),
    ]
