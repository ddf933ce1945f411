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
    from flower.options import options
    from flower.urls import settings as tornado_settings

    options.address = settings.flower.host
    options.port = settings.flower.port
    options.max_tasks = settings.flower.max_tasks
    options.basic_auth = [settings.flower.basic_auth] if settings.flower.basic_auth else []
    options.read_only = True
    options.purge_offline_workers = 600
    options.natural_time = False
    options.tasks_columns = "name,uuid,state,args,received,started,runtime,worker"
    return Flower(capp=app, options=options, **tornado_settings)
