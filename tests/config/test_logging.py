"""Log lines: one chain for our own and the libraries' loggers, and no secret in either."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from config import logging as logs
from config.settings import LoggingSettings


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)


def configured(form: str = "json", level: str = "info") -> io.StringIO:
    stream = io.StringIO()
    logs.configure(LoggingSettings(format=form, level=level), "control", stream)
    return stream


def only_line(stream: io.StringIO) -> dict[str, Any]:
    (line,) = stream.getvalue().splitlines()
    return dict(json.loads(line))


def test_a_line_carries_what_is_bound_in_the_context() -> None:
    stream = configured()
    with structlog.contextvars.bound_contextvars(request_id="req-1", flow="f", step="create"):
        structlog.get_logger("tasks").info("step.done", seconds=0.5)
    line = only_line(stream)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "step.done",
        "seconds": 0.5,
        "request_id": "req-1",
        "flow": "f",
        "step": "create",
        "level": "info",
        "logger": "tasks",
        "process": "control",
    }


def test_a_library_line_goes_the_same_way() -> None:
    stream = configured()
    with structlog.contextvars.bound_contextvars(flow="f"):
        logging.getLogger("celery.worker").warning("lost %s", "redis://u:hunter2@h:1/0")
    line = only_line(stream)
    assert (line["event"], line["flow"]) == ("lost redis://u:***@h:1/0", "f")
    assert (line["level"], line["process"]) == ("warning", "control")


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize(
    "values",
    [
        {"password": "hunter2"},
        {"auth_password": "hunter2"},
        {"body": {"connection_info": {"data": [{"auth_password": "hunter2"}]}}},
        {"secret_key": ("hunter2",)},
        {"headers": {"X-Auth-Token": "hunter2", "Authorization": "Basic hunter2"}},
        {"url": "postgresql+psycopg://u:hunter2@h/n"},
        {"urls": ["x", "amqp://u:hunter2@h//"]},
        {"error": ValueError("no route to redis://:hunter2@h:1")},
    ],
)
def test_no_secret_is_in_a_line(form: str, values: dict[str, Any]) -> None:
    stream = configured(form)
    structlog.get_logger().info("event", **values)
    assert "***" in stream.getvalue()
    assert "hunter2" not in stream.getvalue()


@pytest.mark.parametrize("form", ["json", "console"])
def test_no_secret_is_in_a_traceback(form: str) -> None:
    stream = configured(form)
    try:
        raise ConnectionError("redis://u:hunter2@h:1/0 refused")
    except ConnectionError:
        structlog.get_logger().exception("broker.lost")
    assert "ConnectionError" in stream.getvalue()
    assert "hunter2" not in stream.getvalue()


def test_values_that_are_no_secrets_stay_as_they_are() -> None:
    stream = configured()
    structlog.get_logger().info("e", size=5, ratio=1.5, found=None, up=True, pools=["a", 1])
    line = only_line(stream)
    assert [line[key] for key in ("size", "ratio", "found", "up", "pools")] == [
        5,
        1.5,
        None,
        True,
        ["a", 1],
    ]


def test_a_value_nested_without_end_is_cut() -> None:
    stream = configured()
    loop: dict[str, Any] = {}
    loop["again"] = loop
    structlog.get_logger().info("e", loop=loop)
    assert "***" in stream.getvalue()


def test_the_level_is_kept() -> None:
    stream = configured(level="warning")
    structlog.get_logger().info("quiet")
    logging.getLogger("x").info("quiet")
    structlog.get_logger().warning("loud")
    assert only_line(stream)["event"] == "loud"
