"""Hints from the control workers to the API: a flow was admitted, or refused.

They only wake a waiting request early. Nothing depends on one: the request looks into the database
anyway, so a notice may be lost, doubled, or meant for another API process.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import structlog
from celery import Celery
from kombu import Connection, Consumer, Exchange, Queue
from kombu.exceptions import KombuError
from kombu.exceptions import OperationalError as BrokerError

from config.routing import CONFIRM_SECONDS

log = structlog.get_logger(__name__)

ADMISSION = Exchange("breezeblock.admission", type="fanout", durable=False, delivery_mode=1)
RECONNECT_SECONDS = 1.0
HEARTBEAT = 30
"""Seconds in which RabbitMQ and the listener hear of each other."""
ONE_MORE_TRY = {"max_retries": 1, "interval_start": 0, "interval_max": 0}
"""A connection out of the pool may have died unnoticed."""


def announce(app: Celery, flow_id: str) -> None:
    """Tell every API process that it is worth while to look at a flow."""
    try:
        with app.amqp.producer_pool.acquire(block=True, timeout=2) as producer:
            producer.publish(
                {"flow": flow_id},
                exchange=ADMISSION,
                declare=[ADMISSION],
                serializer="json",
                retry=True,
                retry_policy=ONE_MORE_TRY,
                confirm_timeout=CONFIRM_SECONDS,
            )
    except (BrokerError, KombuError, OSError) as error:
        log.warning("notice not sent", flow=flow_id, error=str(error))


class Listener:
    """Receives notices in a thread of its own, and wakes the requests that wait for them."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._waiting: dict[str, threading.Event] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @contextmanager
    def expecting(self, flow_id: str) -> Iterator[threading.Event]:
        """An event that a notice of `flow_id` sets; ask for it before the flow is sent."""
        self._start()
        event = threading.Event()
        with self._lock:
            self._waiting[flow_id] = event
        try:
            yield event
        finally:
            with self._lock:
                self._waiting.pop(flow_id, None)

    def _start(self) -> None:
        # Late, in the process that serves: a thread does not survive gunicorn's fork.
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._listen, daemon=True, name="notices")
                self._thread.start()

    def _listen(self) -> None:
        while not self._stop.is_set():
            connection = self._app.connection_for_read(heartbeat=HEARTBEAT)
            try:
                with connection:
                    self._consume(connection)
            except (
                BrokerError,
                KombuError,
                *connection.connection_errors,
                *connection.channel_errors,
            ) as error:
                # also when RabbitMQ cancels the consumer, because someone deleted its queue
                log.warning("notices interrupted", error=str(error))
                self._stop.wait(RECONNECT_SECONDS)

    def _consume(self, connection: Connection) -> None:
        queue = Queue(exchange=ADMISSION, exclusive=True, auto_delete=True, durable=False)
        with Consumer(
            connection, [queue], callbacks=[self._on_notice], no_ack=True, accept=["json"]
        ):
            while not self._stop.is_set():
                with suppress(TimeoutError):
                    connection.drain_events(timeout=1)
                if connection.supports_heartbeats:
                    connection.heartbeat_check()

    def _on_notice(self, body: Any, _message: Any) -> None:
        event = self._waiting.get(str(body.get("flow"))) if isinstance(body, dict) else None
        if event is not None:
            event.set()
