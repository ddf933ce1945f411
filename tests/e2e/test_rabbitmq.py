"""RabbitMQ as the broker, by nothing but the URL in the settings."""

import shutil
import time
from contextlib import suppress

import requests
from amqp.exceptions import AMQPError
from celery import Celery

from config.celery import make_app
from config.routing import DEAD, SWEEP
from config.settings import load
from tests import rabbitmq
from tests.e2e.conftest import NODES, Lab, on
from tests.e2e.messages import empty, queues_of
from tests.processes import wait_for
from tests.stack import FLOWER_LOGIN

pytestmark = on("rabbitmq-postgresql")
MOST_SECONDS = 45
"""From when the broker is back until everything goes on; five on a machine without other work."""


def app_on(lab: Lab) -> Celery:
    """An application that sends to the lab's broker as any other part does."""
    return make_app("tests", load(environ={"BREEZEBLOCK_BROKER__URL": lab.stack.broker_url}))


def test_a_volume_is_created_extended_and_deleted(lab: Lab, project: str) -> None:
    stack = lab.stack
    volume = stack.create(project)
    stack.wait_for_status(volume, "available", project)
    asked = {"os-extend": {"new_size": 3}}
    assert stack.call("POST", f"/volumes/{volume}/action", asked, project).status_code == 202
    stack.wait_for_status(volume, "available", project)
    shown = stack.volume(volume, project)
    assert shown is not None
    assert shown["size"] == 3
    assert lab.holds(volume) == {f"node1/volume-{volume}"}
    assert stack.call("DELETE", f"/volumes/{volume}", project=project).status_code == 202
    stack.wait_for_status(volume, "gone", project)
    lab.truth.settled()
    assert lab.holds(volume) == set()


def test_its_queues_are_replicated_and_give_up_into_the_dead_letters(lab: Lab) -> None:
    queues, ours = rabbitmq.queues(lab.stack.erlang), queues_of(lab.stack)
    assert {*ours, DEAD} <= queues.keys()
    for name in (*ours, DEAD):
        assert (queues[name]["type"], queues[name]["durable"]) == ("quorum", True), name
    given_up = {"x-dead-letter-routing-key": DEAD, "x-dead-letter-strategy": "at-least-once"}
    for name in set(ours) - {SWEEP}:
        arguments = {key: value for key, _, value in queues[name]["arguments"]}
        assert given_up.items() <= arguments.items(), name
    # What is neither: broadcasts, which RabbitMQ 4 takes only if they are exclusive.
    for name in queues.keys() - {*ours, DEAD}:
        assert (queues[name]["durable"], queues[name]["exclusive"]) == (False, True), name


def test_workers_answer_to_remote_control(lab: Lab) -> None:
    app, everybody = app_on(lab), {"control", "scheduler", "events", *NODES}

    def answering() -> set[str]:
        with app.connection_for_write() as connection:  # the pool's may be of a broker that is gone
            answers = app.control.ping(timeout=5, limit=len(everybody), connection=connection)
        return {name.partition("@")[0] for answer in answers for name in answer}

    # a test before this one may have deleted queues, after which all of them connect again
    wait_for(lambda: answering() == everybody, MOST_SECONDS, "an answer of every worker")


def test_the_broker_is_killed_while_a_node_makes_a_volume(lab: Lab, project: str) -> None:
    volume, node = lab.create_that_hangs(project)
    lab.stack.kill("broker")
    lab.release()
    lab.stack.start("broker")
    back = time.monotonic()
    lab.stack.wait_for_status(volume, "available", project)
    another = lab.stack.create(project)
    lab.stack.wait_for_status(another, "available", project)
    assert time.monotonic() - back < MOST_SECONDS
    lab.truth.settled()
    assert lab.holds(volume) == {f"{node}/volume-{volume}"}


def test_the_broker_is_replaced_by_an_empty_one(lab: Lab, project: str) -> None:
    volume, node = lab.create_that_hangs(project)
    lab.stack.kill("broker")
    shutil.rmtree(lab.stack.folder / "rabbitmq")
    lab.release()
    lab.stack.start("broker")
    back = time.monotonic()
    lab.stack.wait_for_status(volume, "available", project)
    assert time.monotonic() - back < MOST_SECONDS
    lab.truth.settled()
    assert lab.holds(volume) == {f"{node}/volume-{volume}"}


def test_the_queues_are_deleted_while_they_are_consumed(lab: Lab, project: str) -> None:
    volume, node = lab.create_that_hangs(project)
    empty(lab.stack)
    since = time.monotonic()
    lab.release()
    lab.stack.wait_for_status(volume, "available", project)
    another = lab.stack.create(project)
    lab.stack.wait_for_status(another, "available", project)
    assert time.monotonic() - since < MOST_SECONDS
    lab.truth.settled()
    assert lab.holds(volume) == {f"{node}/volume-{volume}"}


def test_the_queues_are_deleted_while_workers_begin_to_consume(lab: Lab, project: str) -> None:
    """RabbitMQ may not tell such a worker that its queue has gone."""
    stack = lab.stack
    for _ in range(8):
        with suppress(AMQPError):  # it can break over this itself
            empty(stack)
        time.sleep(0.2)
    stack.wait_until_up()
    volume = stack.create(project)
    stack.wait_for_status(volume, "available", project)
    lab.truth.settled()


def test_a_message_that_comes_twice_has_one_effect(lab: Lab, project: str) -> None:
    stack = lab.stack
    stack.kill("node1")
    volume = stack.create(project)
    with rabbitmq.channel(stack.broker_url) as at:
        message = wait_for(lambda: at.basic_get("node.node1"), doing="a message for node1")
        for _ in range(2):
            at.basic_publish(message, routing_key="node.node1")
        at.basic_ack(message.delivery_tag)
    stack.start("node1")
    stack.wait_for_status(volume, "available", project)
    lab.truth.settled()
    assert lab.holds(volume) == {f"node1/volume-{volume}"}


def test_flower_shows_the_workers_and_their_tasks(lab: Lab, project: str) -> None:
    stack = lab.stack
    stack.start("flower")
    flower = f"http://127.0.0.1:{stack.flower_port}"

    def shown() -> set[str]:
        with suppress(requests.ConnectionError):
            answer = requests.get(f"{flower}/api/tasks", auth=FLOWER_LOGIN, timeout=5)
            if answer.ok:
                stack.wait_for_status(stack.create(project), "available", project)
            return {task["name"] for task in answer.json().values()} if answer.ok else set()
        return set()

    wanted = {"volume.create.extract", "volume.create.schedule", "volume.create.create"}
    wait_for(lambda: wanted <= shown(), 20, "a create in Flower")
