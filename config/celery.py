"""Celery settings, the same on every process of an installation."""

from typing import Any

from celery import Celery

from config.broker import RECONNECT, SHOWN, Amqp, declared
from config.routing import CONTROL, EVENTS, SCHEDULER, SWEEP, route
from config.settings import Settings


def make_app(name: str, settings: Settings, *, current: bool = False) -> Celery:
    """A Celery app on the configured broker, without a task; `current`: the process's own."""
    app = Celery(name, set_as_current=current, amqp=Amqp)
    app.conf.update(celery_config(settings))
    app.Task.resultrepr_maxsize = SHOWN
    return app


def celery_config(settings: Settings) -> dict[str, Any]:
    """What `app.conf.update` takes: JSON messages, no results, acknowledgement after the work.

    No result is kept, because the journal is the record of a request. A node overrides
    `task_acks_late`: a long copy must not be delivered twice by a visibility time-out.
    """
    return {
        "broker_url": settings.broker.url,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        # RabbitMQ closes the channel of whoever wants a queue that was deleted a moment ago.
        "broker_channel_error_retry": True,
        "broker_pool_limit": 64,
        "broker_transport_options": transport_options(settings),
        # The only way to notice in time that a peer has gone without a word.
        "broker_heartbeat": 30,
        "task_publish_retry_policy": {
            "max_retries": 3,
            "interval_start": 0.05,
            "interval_step": 0.2,
            "interval_max": 0.5,
        },
        "accept_content": ["json"],
        "task_serializer": "json",
        "event_serializer": "json",
        "result_backend": None,
        "task_ignore_result": True,
        "task_store_errors_even_if_ignored": False,
        "task_default_queue": CONTROL,
        "task_default_exchange": "",
        "task_queues": [declared(name) for name in (CONTROL, SCHEDULER, EVENTS, SWEEP)],
        "task_create_missing_queues": True,
        "task_routes": (route,),
        "task_acks_late": True,
        "task_reject_on_worker_lost": False,
        "worker_consumer": "tasks.consumer:Consumer",
        "worker_prefetch_multiplier": 1,
        "worker_enable_remote_control": True,
        "worker_send_task_events": False,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "task_track_started": False,
        "enable_utc": True,
        "timezone": "UTC",
    }


def uses_rabbitmq(settings: Settings) -> bool:
    """Whether the broker speaks AMQP."""
    return settings.broker.url.startswith("amqp")


def transport_options(settings: Settings) -> dict[str, Any]:
    """What the transport of the configured broker takes. Times in seconds."""
    if uses_rabbitmq(settings):
        return {"confirm_publish": True, **RECONNECT}
    return {
        "visibility_timeout": settings.broker.visibility_timeout,
        # A broker that is down must answer a sender quickly: the journal keeps the flow.
        "socket_timeout": 10,
        "socket_connect_timeout": 3,
        "socket_keepalive": True,
        "retry_on_timeout": True,
        "health_check_interval": 30,
    }
