"""``breezeblock api``, ``beat`` and ``flower``: the processes that are no workers."""

import signal
from typing import Any

import click
from celery import Celery, signals

from cli.context import settings_of
from config import logging as logs
from config.celery import make_app, uses_rabbitmq
from config.process import notify_ready
from config.routing import SWEEP
from config.settings import Settings

COLLECT_SECONDS = 2.0
"""Between two looks into RabbitMQ's queue of dead letters."""


@click.command(short_help="Run the API.")
@click.pass_context
def api(context: click.Context) -> None:
    """Run the Block Storage API under gunicorn, in the foreground."""
    settings = settings_of(context)
    from api.app import create_app
    from config.gunicorn import Server

    logs.configure(settings.logging, "api")
    Server(settings, create_app).run()


@click.command(short_help="Run the clock of the sweeper.")
@click.pass_context
def beat(context: click.Context) -> None:
    """Send the sweeper's tick every sweeper.interval seconds.

    It needs the broker only. A second one does no harm: a sweep more finds nothing more to do.
    """
    settings = settings_of(context).without_database()
    logs.configure(settings.logging, "beat")
    signals.setup_logging.connect(_leave_logging_alone)
    signals.beat_init.connect(lambda **_: notify_ready(), weak=False)
    beat_app(settings).Beat(quiet=True, loglevel=settings.logging.level).run()


def beat_app(settings: Settings) -> Celery:
    """A Celery app that knows the schedule and no task.

    The schedule is kept in memory: after a restart the next tick comes one interval later.
    """
    app = make_app("breezeblock", settings, current=True)
    interval = settings.sweeper.interval
    app.conf.beat_scheduler = "celery.beat:Scheduler"
    app.conf.beat_max_loop_interval = max(interval, 1.0)
    app.conf.beat_schedule = {
        "sweep": {
            "task": "sweep.tick",
            "schedule": interval,
            # ticks do not pile up while no events worker is there
            "options": {"queue": SWEEP, "expires": max(2 * interval, 10.0)},
        }
    }
    if uses_rabbitmq(settings):
        app.conf.beat_schedule["dead letters"] = {
            "task": "dead.collect",
            "schedule": COLLECT_SECONDS,
            "options": {"queue": SWEEP, "expires": 5 * COLLECT_SECONDS},
        }
    return app


@click.command(short_help="Run Flower, the view of the pipeline.")
@click.pass_context
def flower(context: click.Context) -> None:
    """Run Flower, read-only. It needs the broker only, and keeps tasks in memory."""
    settings = settings_of(context).without_database()
    from config.flower import make_flower

    logs.configure(settings.logging, "flower")
    app = make_app("breezeblock", settings, current=True)
    view = make_flower(settings, app)
    # the loop runs the callback between two of its own
    for stop in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stop, lambda *_: view.io_loop.add_callback_from_signal(view.stop))
    view.start_http_server()
    notify_ready()
    view.start()


def _leave_logging_alone(**_: Any) -> None:
    """Being connected is enough: Celery then sets up no handlers of its own."""
