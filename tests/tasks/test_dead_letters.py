"""Messages that nobody can work on."""

from typing import Any

import pytest
from kombu.message import Message as Delivery
from sqlalchemy import select

from config.routing import CONTROL
from db.models import DeadLetter, new_id
from tasks.message import UnintelligibleError, understood
from tasks.parcel import NoTaskError, contents, pack, parcel
from tests.harness import World


def letters(world: World) -> list[DeadLetter]:
    with world.reading() as tx:
        return list(tx.scalars(select(DeadLetter)))


def test_a_step_of_another_version_is_kept_with_the_rest_of_its_chain(world: World) -> None:
    first = world.control.signature(
        "volume.create.extract", args=({"v": 99, "flow": "f"},), options={"queue": CONTROL}
    )
    (first | world.control.signature("volume.create.quota_reserve")).apply_async()

    world.run()

    (letter,) = letters(world)
    assert letter.task == "volume.create.extract"
    assert letter.reason == "version 99 is not known, only 1"
    assert letter.message["queue"] == CONTROL
    assert letter.message["args"] == [{"v": 99, "flow": "f"}]
    assert [link["task"] for link in letter.message["chain"]] == ["volume.create.quota_reserve"]


@pytest.mark.parametrize(
    "task", ["sweep.probe", "node.report", "flow.node_failed", "residue.settled", "flow.parked"]
)
@pytest.mark.parametrize("message", [{"v": 99}, {"v": 1}, {}])
def test_no_task_of_the_control_plane_breaks_on_what_it_does_not_understand(
    world: World, task: str, message: Any
) -> None:
    world.control.send_task(task, args=[message], queue=CONTROL)
    delivery = world.broker.take(CONTROL)
    world.execute(delivery)
    (letter,) = letters(world)
    assert (letter.task, letter.message["args"]) == (task, [message])


def test_a_parcel_that_comes_twice_is_one_letter(world: World) -> None:
    for _ in range(2):
        held = parcel("5f0b7a52-92a8-4f0c-9d3e-5a5b1f6f0c11", "t", "q", "why", {"args": []})
        world.control.send_task("flow.parked", args=[held], queue=CONTROL)
    world.run()
    assert [letter.message for letter in letters(world)] == [{"queue": "q", "args": []}]


def test_what_a_database_cannot_store_is_stored_nearly(world: World) -> None:
    held = parcel(new_id(), "t\x00" * 300, "q", "a\x00b", {"args": [{"k\x00": ["\x00"]}]})
    world.control.send_task("flow.parked", args=[held], queue=CONTROL)
    world.run()
    (letter,) = letters(world)
    assert len(letter.task) == 255
    assert letter.reason == "a␀b"
    assert letter.message["args"] == [{"k␀": ["␀"]}]


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ([], "not of list"),
        ({}, "version None"),
        ({"v": True, "epoch": 1}, "version True"),
        ({"v": 1}, "epoch is missing"),
        ({"v": 1, "epoch": True}, "epoch is of bool"),
        ({"v": 1, "epoch": "hidden"}, "epoch is of str"),
    ],
)
def test_what_is_not_understood_is_named_without_its_values(message: Any, words: str) -> None:
    with pytest.raises(UnintelligibleError, match=words) as raised:
        understood(message, epoch=int)
    assert "hidden" not in str(raised.value)


def test_what_a_newer_sender_adds_is_no_matter() -> None:
    message = {"v": 1, "epoch": 1, "later": {}}
    assert understood(message, epoch=int) is message


def delivery(body: Any, headers: Any, kind: str = "application/json") -> Delivery:
    return Delivery(
        body=body,
        headers=headers,
        content_type=kind,
        content_encoding="utf-8",
        delivery_info={"routing_key": "q"},
        accept={"application/json"},
    )


@pytest.mark.parametrize(
    "found",
    [
        delivery(b"{}", {}),
        delivery(b"{}", {"task": 1, "id": "1"}),
        delivery(b"[[], {}]", {"task": "t", "id": "1"}),
        delivery(b"[[], {}, []]", {"task": "t", "id": "1"}),
        delivery(b"\xff", {"task": "t", "id": "1"}),
        delivery(b"\x80\x04N.", {"task": "t", "id": "1"}, "application/x-python-serialize"),
        delivery("\udc80", {"task": "t", "id": "1"}),
    ],
)
def test_what_is_no_task_is_packed_as_it_came(found: Delivery) -> None:
    with pytest.raises(NoTaskError):
        contents(found)
    packed = pack(found, "why")
    assert packed["queue"] == "q"
    assert packed["message"]["content_type"] == found.content_type
    assert packed["message"]["body"]
