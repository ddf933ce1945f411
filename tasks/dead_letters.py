"""Dead letters: messages that nobody could work on, in the database, to be looked at and replayed.

They come in a parcel from the worker that did not understand one, or out of the queue in which
RabbitMQ puts what it gave up. Storing one twice is storing it once: it keeps its message's id.
"""

import base64
import binascii
from typing import Any

import structlog
from celery import Celery

from config.broker import MOST_DELIVERIES, declared
from config.routing import CONFIRM_SECONDS, DEAD
from db.models import DeadLetter
from db.transactions import retrying, writing
from tasks.parcel import pack

log = structlog.get_logger(__name__)

MOST_AT_ONCE = 200
"""Messages that one run takes out of RabbitMQ's queue; the next one goes on."""
WHY_GIVEN_UP = {
    "delivery_limit": f"delivered {MOST_DELIVERIES} times, and no worker lived to acknowledge it",
    "rejected": "rejected by a worker",
    "expired": "expired in its queue",
    "maxlen": "its queue was full",
}
NUL, SHOWN_NUL = "\x00", "\N{SYMBOL FOR NULL}"


class NotReplayableError(Exception):
    """The letter names no queue to send it to, or its content is not whole."""


def keep(parcel: dict[str, Any]) -> None:
    """Store what a parcel holds, unless that is done. Needs an application context."""
    retrying(lambda: _keep(parcel))
    log.error("message kept as a dead letter", task=parcel["task"], reason=parcel["reason"])


def _keep(parcel: dict[str, Any]) -> None:
    content = parcel["message"]
    with writing() as tx:
        if tx.get(DeadLetter, parcel["id"]) is None:
            tx.add(
                DeadLetter(
                    id=parcel["id"],
                    task=_storable(parcel["task"])[:255],
                    reason=_storable(parcel["reason"]),
                    message=_storable({"queue": parcel["queue"], **content}),
                )
            )


def collect(app: Celery) -> int:
    """Store what is in RabbitMQ's queue of dead letters; returns how many that were.

    Each is acknowledged after it was stored: a death in between brings it again.
    """
    with app.connection_for_read() as connection, connection.channel() as channel:
        queue = declared(DEAD)(channel)
        queue.declare()
        for number in range(MOST_AT_ONCE):
            delivery = queue.get(accept=app.conf.accept_content)
            if delivery is None:
                return number
            last = ((delivery.headers or {}).get("x-death") or [{}])[0]
            reason = str(last.get("reason", ""))
            source = str(last.get("queue", ""))
            keep(pack(delivery, WHY_GIVEN_UP.get(reason, reason or "put here by hand"), source))
            delivery.ack()
    return MOST_AT_ONCE


def replay(app: Celery, letter: DeadLetter) -> None:
    """Send a letter's message to its task and queue again.

    Raises NotReplayableError, or kombu's OperationalError when the broker is out of reach. Sent
    twice or much too late, it has no effect: what it belongs to has moved on.
    """
    message = letter.message
    queue = message.get("queue")
    if not queue:
        raise NotReplayableError("it is not known from which queue it came")
    if "args" in message:
        app.send_task(
            letter.task,
            args=message["args"],
            kwargs=message.get("kwargs"),
            queue=queue,
            chain=message.get("chain") or None,
        )
        return
    try:
        body = base64.b64decode(message.get("body", ""), validate=True)
    except binascii.Error as error:
        raise NotReplayableError("its content is not whole") from error
    with app.producer_or_acquire() as producer:
        producer.publish(
            body,
            routing_key=queue,
            exchange="",
            declare=[declared(queue)],
            headers={k: v for k, v in message["headers"].items() if k != "x-death"},
            content_type=message.get("content_type") or "application/data",
            content_encoding=message.get("content_encoding") or "binary",
            retry=True,
            retry_policy=app.conf.task_publish_retry_policy,
            confirm_timeout=CONFIRM_SECONDS,
        )


def _storable(value: Any) -> Any:
    """`value` without NUL, which PostgreSQL does not take in a text, at any depth."""
    if isinstance(value, str):
        return value.replace(NUL, SHOWN_NUL)
    if isinstance(value, list):
        return [_storable(one) for one in value]
    if isinstance(value, dict):
        return {_storable(key): _storable(one) for key, one in value.items()}
    return value
