"""How processes meet the broker."""

import time
from contextlib import suppress
from pathlib import Path

import pytest
from celery import Celery
from kombu import Consumer, Exchange, Queue
from kombu.exceptions import OperationalError

from cli import broker
from config.broker import SHOWN, PatientConnection, declared
from config.celery import make_app, transport_options
from config.routing import CONTROL, DEAD, SWEEP, node_queue, route
from config.settings import Settings, load
from tests.processes import Running, free_ports, wait_for


def settings(url: str) -> Settings:
    return load(environ={"BREEZEBLOCK_BROKER__URL": url})


@pytest.fixture
def app() -> Celery:
    return make_app("test", settings("amqp://guest:guest@127.0.0.1:1//"))


def test_a_queue_is_declared_alike_by_who_names_it_and_by_who_has_it_configured(
    app: Celery,
) -> None:
    for name in (CONTROL, SWEEP, node_queue("a")):
        queue = app.amqp.queues[name]
        assert queue.queue_arguments == declared(name).queue_arguments
        assert (queue.name, queue.routing_key, queue.exchange.name) == (name, name, "")
        assert queue.durable


def test_a_task_shows_the_beginning_of_its_arguments_and_carries_all_of_them(app: Celery) -> None:
    message = {"flow": "f-1", "ctx": {"names": ["x" * SHOWN]}}
    for args, shown in (([message], "[{'flow': 'f-1', 'ctx': {'names': ['xxx"), (None, "()")):
        sent = app.amqp.create_task_message("id", "volume.create.extract", args)
        assert sent.headers["argsrepr"].startswith(shown)
        assert len(sent.headers["argsrepr"]) <= SHOWN
        assert list(sent.body[0]) == (args or [])


def test_only_what_is_worth_keeping_has_dead_letters() -> None:
    assert declared(node_queue("a")).queue_arguments["x-dead-letter-routing-key"] == DEAD
    for name in (SWEEP, DEAD):
        arguments = declared(name).queue_arguments
        assert arguments["x-queue-type"] == "quorum"
        assert "x-dead-letter-routing-key" not in arguments


@pytest.mark.parametrize("scheme", ["amqp", "amqps"])
def test_rabbitmq_confirms_every_message(scheme: str) -> None:
    assert transport_options(settings(f"{scheme}://u:p@broker/vhost"))["confirm_publish"] is True


def test_redis_is_told_nothing_of_rabbitmq() -> None:
    options = transport_options(settings("rediss://broker:6380/1"))
    assert "confirm_publish" not in options
    assert options["visibility_timeout"] == 3600


def test_a_router_waits_for_a_confirmation_however_the_queue_was_chosen() -> None:
    for options in ({}, {"queue": "q"}):
        for args in ((), ({"node": "a"},)):
            assert route("task", args, options=options)["confirm_timeout"] > 0
    assert route("task", ({"node": "a"},))["queue"] == "node.a"
    assert route("task", ({"node": None},))["queue"] == CONTROL
    assert "queue" not in route("task", ({"node": "a"},), options={"queue": "q"})


def test_pauses_between_two_tries_to_connect_stay_short() -> None:
    connection = PatientConnection("redis://127.0.0.1:1/0")
    pauses: list[float] = []

    class EnoughError(Exception):
        pass

    def failed(_error: Exception, pause: float) -> None:
        pauses.append(pause)
        if time.monotonic() - since > 3:
            raise EnoughError

    since = time.monotonic()
    with pytest.raises(EnoughError):
        connection.ensure_connection(failed)
    assert max(pauses) <= 2
    assert pauses[0] < 1
    with pytest.raises(OperationalError):
        connection.ensure_connection(max_retries=1, interval_start=0)


def test_a_connection_that_holds_messages_is_closed_when_its_broker_has_gone(
    tmp_path: Path,
) -> None:
    """What a worker does in that case; kombu's own connection raises AttributeError."""
    (port,) = free_ports(1)
    url = f"redis://127.0.0.1:{port}/0"
    server = Running(broker.command(url, tmp_path), tmp_path / "log")
    wait_for(lambda: broker.answers(url))
    connection = PatientConnection(url)
    taken = []
    with connection.Producer() as producer:
        queue = declared(CONTROL)
        producer.publish({}, routing_key=CONTROL, declare=[queue])
        consumer = connection.Consumer(
            [queue], callbacks=[lambda _, message: taken.append(message)]
        )
        consumer.consume()
        broadcasts = Queue("b", Exchange("b", "fanout"), auto_delete=True)
        remote_control = Consumer(connection.channel(), [broadcasts], callbacks=[print])
        remote_control.consume()
        connection.drain_events(timeout=5)
        with suppress(TimeoutError):  # and now it waits for the next one
            connection.drain_events(timeout=0.2)
    server.end()

    connection.collect()
    connection.close()

    assert len(taken) == 1
    assert not connection.connected


def test_a_message_goes_out_though_its_channel_was_closed(tmp_path: Path) -> None:
    """A request must not fail with it; kombu's own connection raises AttributeError."""
    (port,) = free_ports(1)
    url = f"redis://127.0.0.1:{port}/0"
    server = Running(broker.command(url, tmp_path), tmp_path / "log")
    wait_for(lambda: broker.answers(url))
    connection = PatientConnection(url)
    with connection.Producer() as producer:
        producer.publish({}, routing_key=CONTROL, declare=[declared(CONTROL)])
        connection.default_channel.close()
        policy = {"max_retries": 1, "interval_start": 0}
        producer.publish({}, routing_key=CONTROL, retry=True, retry_policy=policy)
        assert connection.default_channel.client.llen(CONTROL) == 2

        connection.default_channel.close()
        server.end()
        with pytest.raises(OperationalError):
            producer.publish({}, routing_key=CONTROL, retry=True, retry_policy=policy)
    connection.close()
