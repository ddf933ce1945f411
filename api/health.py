"""Whether this process is fit to serve: /healthcheck and /readyz, and /livez that it runs.

For load balancers and supervisors, so without authentication. A check says what it found out and
nothing of the site: no host, no error text.
"""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as Late
from dataclasses import dataclass, field
from functools import partial
from threading import Lock

import structlog
from celery import Celery
from flask import Flask, Response, current_app, jsonify
from sqlalchemy import Engine, select

from api.auth import public
from api.blueprint import Blueprint
from api.schemas.health import HealthAnswer
from db import db
from db.models import VolumeType

blp = Blueprint("health", __name__, description="Whether the API is fit to serve")

EXTENSION = "breezeblock.health"
SECONDS = 1.0
"""Within which the database and the broker must have answered."""

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Checks:
    """What is asked, one question of each kind at a time, however many ask for the answer.

    A question that hangs holds its thread until its own time-out; meanwhile the answer is "late".
    """

    questions: dict[str, Callable[[], None]]
    _threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(2, "health"))
    _asked: dict[str, Future[None]] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def reasons(self) -> dict[str, str]:
        """What is wrong, by name; empty if nothing is."""
        until = time.monotonic() + SECONDS
        asked = {name: self._ask(name) for name in self.questions}
        return {name: why for name, future in asked.items() if (why := _wrong(name, future, until))}

    def _ask(self, name: str) -> Future[None]:
        with self._lock:
            future = self._asked.get(name)
            if future is None or future.done():
                future = self._asked[name] = self._threads.submit(self.questions[name])
            return future


def _wrong(name: str, future: Future[None], until: float) -> str | None:
    try:
        future.result(max(until - time.monotonic(), 0))
    except Late:
        return f"no answer within {SECONDS:g} s"
    except Exception as error:  # whatever the driver of a database or a broker may raise
        log.warning("health check failed", check=name, error=str(error))
        return "out of reach"
    return None


def install(app: Flask) -> None:
    """Give `app` its checks; after the database and the sender of flows."""
    with app.app_context():
        engine = db.engine
    sender: Celery = app.extensions["breezeblock.engine"].app
    app.extensions[EXTENSION] = Checks(
        {"database": partial(_database, engine), "broker": partial(_broker, sender)}
    )


def _database(engine: Engine) -> None:
    with engine.connect() as connection:
        # a row of a table: one that nobody has upgraded yet cannot serve either
        connection.execute(select(VolumeType.id).limit(1))


def _broker(sender: Celery) -> None:
    with sender.connection_for_write(connect_timeout=SECONDS) as connection:
        connection.ensure_connection(max_retries=1, timeout=SECONDS)


@blp.get("/livez")
@blp.response(200, HealthAnswer)
@public
def live() -> Response:
    """Say that the process answers; a supervisor restarts one that does not."""
    return jsonify({"status": "ok", "reasons": {}})


@blp.get("/healthcheck")
@blp.get("/readyz")
@blp.response(200, HealthAnswer)
@blp.alt_response(503, schema=HealthAnswer)
@public
def check_health() -> Response:
    """Say whether database and broker answer within a second; 503 with the reasons if not."""
    checks: Checks = current_app.extensions[EXTENSION]
    reasons = checks.reasons()
    response = jsonify({"status": "unavailable" if reasons else "ok", "reasons": reasons})
    response.status_code = 503 if reasons else 200
    response.headers["Cache-Control"] = "no-store"
    return response
