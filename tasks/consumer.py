"""What takes messages out of the queues in every worker: Celery's, but it drops none.

Celery rejects what it cannot read or has no task for, and on Redis that is the end of it. Here it
is packed up and sent to the control workers, who keep it as a dead letter.
"""

from collections.abc import Callable
from typing import Any

import structlog
from amqp.exceptions import NotFound
from celery import bootsteps
from celery.worker import consumer as celery_consumer
from celery.worker.consumer.tasks import Tasks
from kombu.exceptions import OperationalError as BrokerError
from kombu.message import Message as Delivery

from config.routing import CONTROL
from tasks.parcel import TASK, NoTaskError, contents, pack

log = structlog.get_logger(__name__)

UNUSED = "celery.worker.consumer.delayed_delivery:DelayedDelivery"
"""With quorum queues it would declare 28 exchanges and queues for tasks that are to run later."""


LOOK_SECONDS = 5.0
"""Between two looks at whether RabbitMQ knows that this worker consumes."""


class Attended(bootsteps.StartStopStep):
    """Begins to consume anew when a queue is gone, or has no consumer.

    RabbitMQ tells a consumer that its queue was deleted; but not one that began just then, and who
    sends to that queue has no reason to declare it again.
    """

    requires = (Tasks,)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self._looks: Any = None

    def include_if(self, consumer: Any) -> bool:
        """Redis tells nobody anything, and needs none of it: its consumers ask."""
        return bool(consumer.app.connection_for_read().transport.driver_type == "amqp")

    def start(self, consumer: Any) -> None:
        """Look from now on."""
        self._looks = consumer.timer.call_repeatedly(LOOK_SECONDS, self._look, (consumer,))

    def stop(self, consumer: Any) -> None:
        """Look no more."""
        if self._looks is not None:
            self._looks.cancel()
            self._looks = None

    def _look(self, consumer: Any) -> None:
        # Not on the consumer's own connection, which is in the middle of its event loop.
        with consumer.app.pool.acquire(block=True, timeout=2) as connection:
            try:
                connection.ensure_connection(max_retries=1)
                names = consumer.app.amqp.queues.consume_from
                alone = [name for name in names if not _has_consumer(connection, name)]
            except (BrokerError, *connection.connection_errors) as error:
                log.debug("queues not looked at", error=str(error))
                return
        if alone:  # what is raised here ends the event loop, and the worker connects again
            raise ConnectionResetError(f"nobody consumes {', '.join(alone)}")


def _has_consumer(connection: Any, name: str) -> bool:
    """Whether a queue is there and somebody consumes from it."""
    with connection.channel() as channel:
        try:
            return bool(channel.queue_declare(name, passive=True).consumer_count)
        except NotFound:
            return False


class Consumer(celery_consumer.Consumer):
    """Celery's consumer of a worker (setting `worker_consumer`)."""

    class Blueprint(celery_consumer.Consumer.Blueprint):
        """Its parts."""

        default_steps = [  # noqa: RUF012 - as in the base
            *(step for step in celery_consumer.Consumer.Blueprint.default_steps if step != UNUSED),
            Attended,
        ]

    def create_task_handler(self, *args: Any, **options: Any) -> Callable[[Delivery], Any]:
        """What is called with each message: the base's, for what is the message of a task."""
        handle = super().create_task_handler(*args, **options)

        def receive(delivery: Delivery) -> Any:
            try:
                name, called = contents(delivery)
            except NoTaskError as error:
                return self._park(delivery, str(error))
            task = self.app.tasks.get(name)
            try:
                if task is not None:
                    task.__header__(*called["args"], **called["kwargs"])
            except TypeError as error:
                return self._park(delivery, f"{name} cannot be called so: {error}")
            delivery.ack_log_error = _forgiving(delivery.ack_log_error)
            delivery.reject_log_error = _forgiving(delivery.reject_log_error)
            return handle(delivery)

        return receive

    def on_decode_error(self, message: Delivery, exc: Exception) -> None:
        """Its content cannot be read."""
        self._park(message, f"it cannot be decoded ({type(exc).__name__})")

    def on_unknown_task(self, body: Any, message: Delivery, exc: Exception) -> None:
        """Its task is not known here: it comes from another version, or went astray."""
        self._park(message, f"{self.hostname} has no such task")

    def on_invalid_task(self, body: Any, message: Delivery, exc: Exception) -> None:
        """Celery cannot make a task of it."""
        self._park(message, f"{type(exc).__name__}: {exc}")

    def _park(self, delivery: Delivery, reason: str) -> None:
        parcel = pack(delivery, reason)
        log.error("message parked", task=parcel["task"], queue=parcel["queue"], reason=reason)
        try:
            self.app.send_task(TASK, args=[parcel], queue=CONTROL)
        except BrokerError as error:
            log.warning("not parked: broker out of reach", error=str(error))
            delivery.reject_log_error(log, self.connection_errors, requeue=True)
        else:
            # only now: a death before this line brings the message again
            delivery.ack_log_error(log, self.connection_errors)


def _forgiving(settle: Callable[..., None]) -> Callable[..., None]:
    """`settle`, unless the connection that its message came over is gone.

    A task that ends after its worker has connected anew cannot acknowledge: the message comes
    again, and has no effect. On Redis kombu fails there in a way that would end the worker.
    """

    def attempt(*args: Any, **options: Any) -> None:
        try:
            settle(*args, **options)
        except AttributeError:
            log.warning("not acknowledged: its connection is gone")

    return attempt
