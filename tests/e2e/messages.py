"""What waits in the queues of a broker, and the loss of it."""

import base64
import json
from typing import Any

from config.routing import CONTROL, DEAD, EVENTS, SCHEDULER, SWEEP, node_queue
from tests import rabbitmq
from tests.processes import wait_for
from tests.stack import Stack


def queues_of(stack: Stack) -> list[str]:
    """Every queue that has a name; on RabbitMQ there is one for dead letters besides."""
    return [CONTROL, SCHEDULER, EVENTS, SWEEP, *map(node_queue, stack.nodes)]


def bodies(stack: Stack, queue: str) -> list[str]:
    """The bodies of the messages in a queue. Not to be called often: RabbitMQ counts deliveries."""
    if stack.erlang:
        with rabbitmq.channel(stack.broker_url) as at:  # its end puts them back
            found = iter(lambda: at.basic_get(queue), None)
            return [str(message.body) for message in found]
    envelopes = stack.redis.lrange(queue, 0, -1)
    assert isinstance(envelopes, list)
    return [base64.b64decode(json.loads(envelope)["body"]).decode() for envelope in envelopes]


def empty(stack: Stack) -> None:
    """The broker forgets everything: FLUSHALL, or all queues deleted."""
    if stack.erlang:
        rabbitmq.delete_queues(stack.broker_url, *queues_of(stack), DEAD)
    else:
        stack.redis.flushall()


def lose(stack: Stack, queue: str, words: str) -> None:
    """Empty the broker once a message with these words waits in a queue that nobody consumes."""
    doing = f"a message about {words} in {queue}"
    if stack.erlang:
        with rabbitmq.channel(stack.broker_url) as at:
            message = wait_for(lambda: next_about(at, queue, words), doing=doing)
            at.basic_ack(message.delivery_tag)
    else:
        wait_for(lambda: any(words in body for body in bodies(stack, queue)), doing=doing)
    empty(stack)


def next_about(at: Any, queue: str, words: str) -> Any:
    """On a channel of RabbitMQ the next message with these words; others before it are lost."""
    while (message := at.basic_get(queue)) is not None:
        if words in str(message.body):
            return message
        at.basic_ack(message.delivery_tag)
    return None
