"""Flower: a view of the pipeline, never the record of it, and so read-only."""

from typing import TYPE_CHECKING

from celery import Celery

from config.settings import Settings

if TYPE_CHECKING:
    from flower.app import Flower


def make_flower(settings: Settings, app: Celery) -> "Flower":
    """Flower on ``app``'s broker. Times in seconds.

    Made here instead of by ``celery flower``, whose command line would show the broker's password.
    """
    from flower.app import Flower
    from flower.events import Events
    from flower.options import options
    from flower.urls import settings as tornado_settings

    # Workers send task events only once Flower has asked. Asked each second instead of every five,
    # the first tasks of a worker that has just started are shown too.
    Events.events_enable_interval = 1000  # milliseconds
    options.address = settings.flower.host
    options.port = settings.flower.port
    options.max_tasks = settings.flower.max_tasks
    options.basic_auth = [settings.flower.basic_auth] if settings.flower.basic_auth else []
    options.read_only = True
    options.purge_offline_workers = 600
    options.natural_time = False
    options.tasks_columns = "name,uuid,state,args,received,started,runtime,worker"
    return Flower(capp=app, options=options, **tornado_settings)
