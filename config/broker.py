"""How every process meets the broker, be it Redis or RabbitMQ: its queues, and its patience.

Queues are declared by name wherever one is used, by who sends and by who consumes, with the same
arguments; messages go through the anonymous exchange. So a broker that was emptied or replaced
needs nothing but to be there. Redis knows no queue arguments and ignores them.
"""

from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import Any

from celery.app.amqp import AMQP
from celery.app.amqp import Queues as CeleryQueues
from kombu import Connection, Queue

from config.routing import DEAD, SWEEP

RECONNECT = {"interval_start": 0.2, "interval_step": 0.4, "interval_max": 2.0}
"""Seconds between two tries; kombu by itself ends up at thirty, long after a broker is back."""

SHOWN = 240
"""Characters of its arguments and of its result that a task carries about for people to read.

They hold the flow, the volume and the epoch; to write out more takes a tenth of a create's time."""

MOST_DELIVERIES = 20
"""Deliveries without an acknowledgement after which RabbitMQ gives a message up (4.0's default)."""


def declared(name: str) -> Queue:
    """The queue `name`, as every process declares it."""
    arguments: dict[str, Any] = {"x-queue-type": "quorum", "x-delivery-limit": MOST_DELIVERIES}
    if name not in (DEAD, SWEEP):
        # At least once: what was given up leaves this queue only when it is safe in the other.
        # RabbitMQ wants reject-publish for that; without a length limit nothing is rejected.
        # Ticks of the sweeper expire and are worth nothing then, so SWEEP has no dead letters.
        arguments |= {
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": DEAD,
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        }
    return Queue(name, routing_key=name, queue_arguments=arguments)


class PatientConnection(Connection):
    """A connection that is made again soon after its broker is back."""

    def ensure_connection(self, *args: Any, **options: Any) -> "PatientConnection":
        """As kombu's, with shorter pauses."""
        super().ensure_connection(*args, **{**RECONNECT, **options})
        return self

    def ensure(
        self, obj: Any, fun: Callable[..., Any], *args: Any, **options: Any
    ) -> Callable[..., Any]:
        """As kombu's, which on Redis may meet a channel that was closed when its broker went away.

        It takes the AttributeError of that for a fault of the program; it is a lost connection.
        """

        @wraps(fun)
        def attempt(*args: Any, **options: Any) -> Any:
            try:
                return fun(*args, **options)
            except AttributeError as error:
                raise ConnectionResetError("the channel was closed") from error

        ensured: Callable[..., Any] = super().ensure(obj, attempt, *args, **options)
        return ensured

    def maybe_close_channel(self, channel: Any) -> None:
        """As kombu's, which lets a connection error pass.

        On Redis a channel that holds messages fails in another way if its connection was given up
        before, and a worker would end because its broker was away.
        """
        with suppress(AttributeError):
            super().maybe_close_channel(channel)


class Queues(CeleryQueues):
    """Makes a queue that is named for the first time, as a node's, with the common arguments."""

    def new_missing(self, name: str) -> Queue:
        """The declaration of a queue that is not in the configuration."""
        return declared(name)


class Amqp(AMQP):
    """What a Celery app of this installation uses to reach the broker."""

    Connection = PatientConnection
    queues_cls = Queues

    def as_task_v2(
        self, task_id: str, name: str, args: Any = None, *more: Any, **options: Any
    ) -> Any:
        """A message as Celery makes it; what it shows of the arguments is ten times as quick."""
        options["argsrepr"] = options.get("argsrepr") or repr(args or ())[:SHOWN]
        return super().as_task_v2(task_id, name, args, *more, **options)
