"""gunicorn for the API: threads, its log lines through ours, and a stop that cuts nobody off."""

import logging
from collections.abc import Callable
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger
from gunicorn.workers.gthread import ThreadWorker

from config.process import die_with_parent
from config.settings import Settings


class RoutedLogger(Logger):
    """gunicorn's own lines go to the root logger. The API itself logs its requests."""

    def setup(self, _cfg: Any) -> None:
        self.loglevel = logging.getLogger().level
        for log in (self.error_log, self.access_log):
            log.handlers.clear()
            log.propagate = True

    def access(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: a request is logged once, with its request id, by the API."""

    def reopen_files(self) -> None:
        """Nothing: there are no files."""

    def close_on_exec(self) -> None:
        """Nothing: there are no files."""


class Worker(ThreadWorker):
    """gunicorn's worker of threads, which cuts nobody off when it is asked to stop.

    The base stops accepting, but keeps its socket open until its last request is answered: whoever
    connects in between waits for nothing, and is reset. This one takes who is there already, and
    closes the door at once, so that a proxy goes elsewhere.
    """

    sockets: list[Any]

    def set_accept_enabled(self, enabled: bool) -> None:
        """Also the last thing that the base does before it only finishes what it has."""
        super().set_accept_enabled(enabled)
        if enabled or self.alive:
            return
        for listener in self.sockets:
            taken = -1
            while taken < self.nr_conns:
                taken = self.nr_conns
                self.accept(listener)
            listener.close()
        self.sockets = []


def gunicorn_config(settings: Settings) -> dict[str, Any]:
    """gunicorn's settings. Times in seconds."""
    api = settings.api
    host = f"[{api.host}]" if ":" in api.host else api.host
    return {
        "bind": [f"{host}:{api.port}"],
        "worker_class": Worker,
        "workers": api.workers,
        "threads": api.threads,
        "keepalive": 15,
        # A request may wait for its admission; a stop waits for the requests in work.
        "graceful_timeout": int(max(api.admission_timeout, settings.worker.shutdown_timeout)) + 1,
        "timeout": int(api.admission_timeout) + 60,
        "worker_tmp_dir": "/dev/shm",  # noqa: S108 - a heartbeat file: on a disk it could stall
        "logger_class": RoutedLogger,
        "control_socket_disable": True,
        "post_fork": lambda _arbiter, worker: die_with_parent(worker.ppid),
        "proc_name": "breezeblock api",
    }


class Server(BaseApplication):
    """gunicorn with ``make_app`` called in each worker, so that no database handle is forked."""

    def __init__(self, settings: Settings, make_app: Callable[[Settings], Any]) -> None:
        self._settings = settings
        self._make_app = make_app
        super().__init__()

    def load_config(self) -> None:
        for key, value in gunicorn_config(self._settings).items():
            self.cfg.set(key, value)

    def load(self) -> Any:
        return self._make_app(self._settings)
