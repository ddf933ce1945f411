"""Celery settings, the same on every process of an installation."""

from typing import Any

from config.routing import CONTROL, route
from config.settings import Settings


def celery_config(settings: Settings) -> dict[str, Any]:
    """What `app.conf.update` takes: JSON only, no results, acknowledgement after the work.

    No result is kept, because the journal is the record of a request. A node overrides
    `task_acks_late`: a long copy must not be delivered twice by a visibility time-out.
    """
    return {
        "broker_url": settings.broker.url,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_pool_limit": 64,
        "broker_transport_options": {
            "visibility_timeout": settings.broker.visibility_timeout,
            # A broker that is down must answer a sender quickly: the journal keeps the flow.
            "socket_timeout": 10,
            "socket_connect_timeout": 3,
            "socket_keepalive": True,
            "retry_on_timeout": True,
            "health_check_interval": 30,
        },
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
        "task_create_missing_queues": True,
        "task_routes": (route,),
        "task_acks_late": True,
        "task_reject_on_worker_lost": False,
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
