"""What no worker can work on is kept, shown and replayed, whichever the broker."""

import json
from typing import Any

from celery import Celery

from config.broker import MOST_DELIVERIES
from config.celery import make_app
from config.routing import CONTROL, DEAD, EVENTS, SCHEDULER
from config.settings import load
from tests import rabbitmq
from tests.e2e.conftest import Lab, on
from tests.e2e.messages import next_about
from tests.processes import wait_for

FUTURE = {
    "v": 99,
    "flow": "f",
    "kind": "volume.create",
    "epoch": 1,
    "ctx": {},
    "password": "s3cr3t",
}
NODE = "node.node1"


@on("rabbitmq-postgresql")
def test_what_rabbitmq_gives_up_is_kept_and_can_be_replayed(lab: Lab) -> None:
    stack = lab.stack
    drop_all(lab)
    stack.kill("node1")
    sent = {"v": 1, "tick": 7, "flow": "given up"}
    app_on(lab).send_task("volume.create.destroy", args=[sent], queue=NODE, chain=[])
    with rabbitmq.channel(stack.broker_url) as at:
        message = wait_for(lambda: next_about(at, NODE, "given up"))
        at.basic_reject(message.delivery_tag, requeue=False)
        (letter,) = wait_for(lambda: letters(lab), doing="a dead letter")
        assert (letter["task"], letter["queue"]) == ("volume.create.destroy", NODE)
        assert letter["reason"] == "rejected by a worker"
        assert rabbitmq.waiting(stack.broker_url, DEAD) == 0
        replayed = stack.call("POST", f"/dead-letters/{letter['id']}/action", {"replay": {}})
        assert replayed.status_code == 202, replayed.text
        again = wait_for(lambda: next_about(at, NODE, "given up"), doing="the message")
        assert json.loads(again.body)[0] == [sent]
    assert letters(lab) == []


@on("rabbitmq-postgresql")
def test_a_message_with_which_workers_die_again_and_again_is_given_up(lab: Lab) -> None:
    stack = lab.stack
    drop_all(lab)
    stack.kill("node1")
    app_on(lab).send_task("volume.create.destroy", args=["poison"], queue=NODE)
    times = 0
    with rabbitmq.channel(stack.broker_url) as at:
        while not letters(lab):
            if (message := next_about(at, NODE, "poison")) is not None:
                times += 1
                at.basic_reject(message.delivery_tag, requeue=True)
    assert times == MOST_DELIVERIES + 1
    (letter,) = letters(lab)
    assert letter["reason"].startswith(f"delivered {MOST_DELIVERIES} times")
    drop_all(lab)


def test_every_worker_keeps_what_it_cannot_work_on(lab: Lab, project: str) -> None:
    drop_all(lab)
    app = app_on(lab)
    for queue in (CONTROL, SCHEDULER, EVENTS, NODE):
        app.send_task("volume.levitate.up", args=[FUTURE], queue=queue)
    tasks = {CONTROL: "volume.create.extract", NODE: "volume.create.create"}
    for queue, task in tasks.items():
        app.send_task(task, args=[FUTURE], queue=queue)
        app.send_task(task, args=[1, 2], queue=queue)
    task_headers = {"task": "volume.create.extract", "id": "1"}
    for queue in (CONTROL, NODE):
        publish(app, queue, b"\xff{", task_headers, "application/json", "utf-8")
        publish(app, queue, b"5", task_headers, "application/json", "utf-8")
        publish(app, queue, b"\x80\x04N.", task_headers, "application/x-python-serialize", "binary")
        publish(app, queue, b"\x80 anything", {}, "image/png", "binary")
    expected = 4 + 4 + 8

    def kept() -> list[dict[str, Any]]:
        found = letters(lab)
        return found if len(found) >= expected else []

    found = wait_for(kept, 20, f"{expected} dead letters, there are {len(letters(lab))}")

    assert len(found) == expected
    about = sorted((one["queue"], one["task"]) for one in found)
    for queue in (CONTROL, SCHEDULER, EVENTS, NODE):
        assert (queue, "volume.levitate.up") in about
    for queue, task in tasks.items():
        assert (queue, task) in about
    reasons = " ".join(one["reason"] for one in found)
    for words in ("version 99 is not known", "has no such task", "decode", "names no task"):
        assert words in reasons
    for one in found:
        shown = lab.stack.call("GET", f"/dead-letters/{one['id']}")
        assert "s3cr3t" not in shown.text
        assert "gAROLg" not in shown.text  # base64 of a body that nobody can read
    # and the workers that met them go on
    volume = lab.stack.create(project)
    lab.stack.wait_for_status(volume, "available", project)
    drop_all(lab)


def app_on(lab: Lab) -> Celery:
    """An application that sends to the lab's broker as any other part does."""
    return make_app("tests", load(environ={"BREEZEBLOCK_BROKER__URL": lab.stack.broker_url}))


def publish(
    app: Celery, queue: str, body: bytes, headers: dict[str, str], kind: str, encoding: str
) -> None:
    """Something that is no message of a task."""
    with app.producer_or_acquire() as producer:
        producer.publish(
            body, routing_key=queue, headers=headers, content_type=kind, content_encoding=encoding
        )


def letters(lab: Lab) -> list[dict[str, Any]]:
    answer = lab.stack.call("GET", "/dead-letters")
    assert answer.ok, answer.text
    return list(answer.json()["dead_letters"])


def drop_all(lab: Lab) -> None:
    for letter in letters(lab):
        assert lab.stack.call("DELETE", f"/dead-letters/{letter['id']}").status_code == 204
