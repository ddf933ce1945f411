"""Logging: structlog for our own lines, and the standard library's loggers through the same chain.

A line carries what is bound in the context (``request_id``, ``flow``, ``step``, ``volume``,
``node``). Secrets are taken out last, when exceptions have become text.
"""

import logging
import re
import sys
from collections.abc import Mapping
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from config.rules import mask_url
from config.settings import LoggingSettings

HIDDEN = "***"

_SECRET_KEY = re.compile(
    r"passw(or)?d|secret|token|credential|authorization|basic_auth|cookie"
    r"|(private|encryption|auth|api)_?key",
    re.IGNORECASE,
)
_DEEPEST = 8

#: Libraries whose INFO lines say what Flower and our own lines say better.
_QUIET = (
    "alembic.runtime.plugins",
    "celery.app.trace",
    "celery.beat",
    "celery.worker.strategy",
    "kombu",
    "amqp",
    "urllib3",
    "asyncio",
    "tornado.access",
)


def configure(settings: LoggingSettings, process: str, stream: TextIO | None = None) -> None:
    """Send every log line of this process to ``stream`` (default stderr), named ``process``."""
    stream = stream or sys.stderr

    def name_process(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        event["process"] = process
        return event

    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        name_process,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.StackInfoRenderer(),
                structlog.processors.format_exc_info,
                scrub,
                _renderer(settings.format, stream),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.level.upper())
    if settings.level != "debug":
        for name in _QUIET:
            logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(True)


def scrub(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Replace the values of secret keys, and passwords in URLs, by ``***``."""
    return {key: _clean(key, value, 0) for key, value in event.items()}


def _clean(key: str, value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if _SECRET_KEY.search(key) or depth > _DEEPEST:
        return HIDDEN
    if isinstance(value, Mapping):
        return {inner: _clean(str(inner), item, depth + 1) for inner, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean("", item, depth + 1) for item in value]
    return value if isinstance(value, int | float) else mask_url(str(value))


def _renderer(form: str, stream: TextIO) -> Processor:
    if form == "json":
        return structlog.processors.JSONRenderer(default=str)
    return structlog.dev.ConsoleRenderer(
        colors=stream.isatty(),
        # plain: the default would load rich in every process
        exception_formatter=structlog.dev.plain_traceback,
        pad_event_to=40,
    )
