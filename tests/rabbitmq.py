"""A RabbitMQ server for tests, with everything of its own: folder, ports, name and port mapper."""

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from kombu import Connection

from config.broker import declared

SERVER = "rabbitmq-server"
PLACES = "/usr/lib/rabbitmq/bin:/usr/sbin:/usr/bin"
"""Not the wrapper in /usr/sbin first: it would change to another user."""


def needed() -> None:
    """Skip a test that cannot have a server."""
    if shutil.which(SERVER, path=PLACES) is None:
        pytest.skip("needs rabbitmq-server (apt: rabbitmq-server)")


def url(port: int) -> str:
    return f"amqp://guest:guest@127.0.0.1:{port}//"


def command() -> list[str]:
    found = shutil.which(SERVER, path=PLACES)
    assert found, f"{SERVER} is not installed"
    return [found]


def mapper(port: int) -> list[str]:
    """The command line of its port mapper, which would else stay behind as a daemon."""
    return ["epmd", "-port", str(port), "-address", "127.0.0.1"]


def environment(folder: Path, port: int, distribution: int, mapper_port: int) -> dict[str, str]:
    """What the server is told: to keep everything in `folder`, and to be small."""
    home = folder / "rabbitmq"
    home.mkdir(exist_ok=True)
    (home / "rabbitmq.conf").write_text(
        f"listeners.tcp.1 = 127.0.0.1:{port}\n"
        "disk_free_limit.absolute = 1MB\n"
        "log.console = true\nlog.console.level = warning\nlog.file = false\n"
    )
    (home / "plugins").write_text("[].\n")
    own = {
        "NODENAME": f"test{port}@localhost",
        "MNESIA_BASE": str(home),
        "LOG_BASE": str(home),
        "PID_FILE": str(home / "pid"),
        "CONFIG_FILE": str(home / "rabbitmq.conf"),
        "ENABLED_PLUGINS_FILE": str(home / "plugins"),
        "DIST_PORT": str(distribution),
        # two schedulers that do not spin: a test machine has other things to do
        "SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none",
    }
    return {
        **{f"RABBITMQ_{key}": value for key, value in own.items()},
        "RUNNING_UNDER_SYSTEMD": "true",  # the server itself, without a shell that waits for it
        "ERL_EPMD_PORT": str(mapper_port),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "HOME": str(home),
    }


def answers(broker_url: str) -> bool:
    """Whether a server greets who says hello in AMQP 0-9-1."""
    parts = urlsplit(broker_url)
    try:
        with socket.create_connection((parts.hostname, parts.port), 1) as connection:
            connection.settimeout(5)
            connection.sendall(b"AMQP\x00\x00\x09\x01")
            return connection.recv(1) == b"\x01"  # a method frame: Connection.Start
    except OSError:
        return False


@contextmanager
def channel(broker_url: str) -> Iterator[Any]:
    """A channel for what a test does to the server itself."""
    with Connection(broker_url) as connection:
        yield connection.channel()


def delete_queues(broker_url: str, *names: str) -> None:
    """What an operator does by mistake."""
    with channel(broker_url) as at:
        for name in names:
            at.queue_delete(name)


def waiting(broker_url: str, name: str) -> int:
    """Messages that are ready in a queue."""
    with channel(broker_url) as at:
        return int(declared(name)(at).queue_declare().message_count)


def queues(running: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Every queue of the server with this environment, as it says itself."""
    columns = ("name", "type", "durable", "exclusive", "arguments")
    listing = subprocess.run(
        ["rabbitmqctl", "list_queues", "--silent", "--formatter", "json", *columns],
        env={**os.environ, **running, "PATH": PLACES},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return {row["name"]: row for row in json.loads(listing.stdout)}
