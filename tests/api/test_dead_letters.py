"""Messages that no worker could work on."""

import base64
from typing import Any

import pytest
from flask import Flask

from tests.api.conftest import PROJECT, Caller, basic, fault
from tests.api.rows import letter
from tests.broker import Broker

BODY = base64.b64encode(b"\x00\xff unreadable").decode()
UNREADABLE = {"queue": "control", "body": BODY, "content_type": "image/png", "headers": {"a": "b"}}


@pytest.fixture
def broker() -> Broker:
    """The queues, empty."""
    return Broker()


def document(answer: Any) -> dict[str, Any]:
    assert answer.status_code in (200, 202), answer.text
    return dict(answer.json)


def test_they_are_listed_filtered_and_paged(admin: Caller) -> None:
    older = letter(0)
    newer = letter(1, task="volume.delete.destroy", message={"queue": "node.node1", "args": []})
    found = document(admin.get("/dead-letters"))["dead_letters"]
    assert [one["id"] for one in found] == [newer, older]
    assert (found[0]["task"], found[0]["queue"]) == ("volume.delete.destroy", "node.node1")
    assert (found[1]["reason"], "message" in found[1]) == ("version 2 is not known", False)
    found = document(admin.get("/dead-letters?task=volume.delete.destroy"))["dead_letters"]
    assert [one["id"] for one in found] == [newer]
    page = document(admin.get("/dead-letters?limit=1"))
    assert f"marker={newer}" in page["dead_letters_links"][0]["href"]
    found = document(admin.get(f"/dead-letters?limit=1&marker={newer}"))["dead_letters"]
    assert [one["id"] for one in found] == [older]
    fault(admin.get("/dead-letters?marker=nowhere"), 404, "itemNotFound")


def test_one_is_shown_with_its_content_but_no_secret(admin: Caller) -> None:
    held = {"v": 2, "ctx": {"chap": {"auth_password": "s3cr3t", "user": "ann"}}}
    chain = [{"task": "t", "args": [{"access_token": "s3cr3t"}]}]
    shown = admin.get(
        f"/dead-letters/{letter(message={'queue': 'q', 'args': [held], 'chain': chain})}"
    )
    assert "s3cr3t" not in shown.text
    message = document(shown)["dead_letter"]["message"]
    assert message["args"][0]["ctx"]["chap"] == {"auth_password": "***", "user": "ann"}
    assert message["args"][0]["v"] == 2


def test_of_what_cannot_be_read_only_the_size_is_shown(admin: Caller) -> None:
    shown = admin.get(f"/dead-letters/{letter(message=UNREADABLE)}")
    assert BODY not in shown.text
    message = document(shown)["dead_letter"]["message"]
    assert message["content_type"] == "image/png"
    assert message["bytes"] == len(b"\x00\xff unreadable")


def test_replay_sends_it_with_its_chain_and_forgets_it(admin: Caller, broker: Broker) -> None:
    chain = [{"task": "volume.create.finish", "args": [], "kwargs": {}, "options": {}}]
    held = {"queue": "node.node1", "args": [{"v": 1}], "kwargs": {}, "chain": chain}
    one = letter(task="volume.create.create", message=held)
    answer = admin.post(f"/dead-letters/{one}/action", json={"replay": {}})
    assert answer.status_code == 202
    delivery = broker.take("node.node1")
    assert delivery.task == "volume.create.create"
    args, _, embedded = delivery.body
    assert (args, embedded["chain"]) == ([{"v": 1}], chain)
    fault(admin.get(f"/dead-letters/{one}"), 404, "itemNotFound")


def test_replay_sends_what_cannot_be_read_as_it_came(admin: Caller, broker: Broker) -> None:
    one = letter(message=UNREADABLE)
    assert admin.post(f"/dead-letters/{one}/action", json={"replay": {}}).status_code == 202
    delivery = broker.take("control")
    assert base64.b64decode(delivery.payload["body"]) == base64.b64decode(BODY)
    assert delivery.payload["content-type"] == "image/png"
    assert delivery.payload["headers"] == {"a": "b"}


def test_replay_without_a_queue_is_refused_and_it_stays(admin: Caller, broker: Broker) -> None:
    one = letter(message={"queue": "", "args": []})
    fault(admin.post(f"/dead-letters/{one}/action", json={"replay": {}}), 409, "conflictingRequest")
    assert admin.get(f"/dead-letters/{one}").status_code == 200


def test_replay_without_a_broker_is_503_and_it_stays(environ: dict[str, str], app: Flask) -> None:
    app.extensions["breezeblock.engine"].app.conf.update(
        broker_url="redis://127.0.0.1:1/0", task_publish_retry_policy={"max_retries": 0}
    )
    caller = Caller(app.test_client(), PROJECT, {"X-Auth-Token": f"alice:{PROJECT}"})
    one = letter()
    answer = caller.post(f"/dead-letters/{one}/action", json={"replay": {}})
    fault(answer, 503, "serviceUnavailable")
    assert caller.get(f"/dead-letters/{one}").status_code == 200


@pytest.mark.parametrize("body", [{}, {"replay": {}, "drop": {}}, {"drop": {}}])
def test_an_action_is_replay_and_nothing_else(admin: Caller, body: dict[str, Any]) -> None:
    fault(admin.post(f"/dead-letters/{letter()}/action", json=body), 400, "badRequest")


def test_one_is_dropped(admin: Caller) -> None:
    one = letter()
    assert admin.delete(f"/dead-letters/{one}").status_code == 204
    fault(admin.delete(f"/dead-letters/{one}"), 404, "itemNotFound")
    fault(admin.post(f"/dead-letters/{one}/action", json={"replay": {}}), 404, "itemNotFound")


def test_they_are_for_administrators(basic_app: Flask) -> None:
    ann = basic(basic_app, "ann", PROJECT)
    one = letter()
    fault(ann.get("/dead-letters"), 403, "forbidden")
    fault(ann.get(f"/dead-letters/{one}"), 403, "forbidden")
    fault(ann.delete(f"/dead-letters/{one}"), 403, "forbidden")
    fault(ann.post(f"/dead-letters/{one}/action", json={"replay": {}}), 403, "forbidden")
