"""Each process on its own: worker, beat and Flower against a real broker."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
import requests
from celery import Celery

from cli import broker
from config.celery import celery_config
from config.routing import CONTROL, node_queue
from config.settings import Settings, load
from tests.tasks.node.support import LEDGER, known_ledger


def wait_for(what: Callable[[], Any], seconds: float = 20.0) -> Any:
    until = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < until, f"not within {seconds} s"
        time.sleep(0.05)
    return found


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture(scope="module")
def broker_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    url = f"redis://127.0.0.1:{free_port()}/0"
    folder = tmp_path_factory.mktemp("broker")
    with subprocess.Popen(broker.command(url, folder), stdout=subprocess.DEVNULL) as server:
        wait_for(lambda: broker.answers(url))
        yield url
        server.terminate()


@contextlib.contextmanager
def running(folder: Path, config: str, *words: str) -> Iterator[subprocess.Popen[str]]:
    """`breezeblock <words>` in ``folder`` with ``config`` as its settings file."""
    (folder / "breezeblock.toml").write_text(config)
    env = {key: value for key, value in os.environ.items() if not key.startswith("BREEZEBLOCK_")}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "cli.main", *words],
            cwd=folder,
            env=env,
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def log_of(folder: Path) -> str:
    return (folder / "log").read_text()


def node_config(url: str, **worker: object) -> str:
    return (
        f'[broker]\nurl = "{url}"\n[node]\nname = "n1"\nreport_interval = 0.2\n'
        + "[worker]\n"
        + "".join(f"{key} = {value}\n" for key, value in worker.items())
        + '[backends.slow]\ndriver = "fake"\nlatency = { create = 60 }\n'
    )


def send_create(settings: Settings) -> None:
    app = Celery(set_as_current=False)
    app.conf.update(celery_config(settings))
    volume = "9f6a0d1e-6f5e-4c44-8f7b-0d3b3c2d1e00"
    message = {
        "v": 1,
        "flow": "0e8dd3a4-0f6e-4a43-8a5c-3b8a6bb1a111",
        "kind": "volume.create",
        "epoch": 1,
        "step": "create",
        "request_id": "req-1",
        "resource": volume,
        "project": "p",
        "ctx": {},
        "node": "n1",
        "ledger": LEDGER,
        "op": {
            "verb": "create",
            "backend": "slow",
            "pool": "slow",
            "object": f"volume-{volume}",
            "volume_id": volume,
            "size_gib": 1,
            "spec": {},
        },
    }
    app.send_task("volume.create.create", args=[message], queue=node_queue("n1"))


def test_an_idle_worker_stops_at_once(tmp_path: Path, broker_url: str) -> None:
    with running(tmp_path, node_config(broker_url), "worker", "node") as worker:
        wait_for(lambda: "worker.ready" in log_of(tmp_path))
        asked = time.monotonic()
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(10) == 0
        assert time.monotonic() - asked < 5


@pytest.mark.slow
def test_a_driver_that_hangs_does_not_keep_a_node_from_stopping(
    tmp_path: Path, broker_url: str
) -> None:
    config = node_config(broker_url, shutdown_timeout=3)
    known_ledger(tmp_path / "var" / "n1" / "ledger.db")
    with running(tmp_path, config, "worker", "node") as worker:
        wait_for(lambda: "worker.ready" in log_of(tmp_path))
        send_create(load(tmp_path / "breezeblock.toml", {}))
        reports = redis.Redis.from_url(broker_url)
        wait_for(lambda: any(b'"running": [{' in body for body in bodies(reports, "events")))
        asked = time.monotonic()
        worker.send_signal(signal.SIGTERM)
        worker.wait(20)
        assert 1.5 <= time.monotonic() - asked < 8


HANGING_WORKER = """
import sys, time
from pathlib import Path
from celery import Celery
from cli import worker
from config.celery import celery_config
from config.settings import load

settings = load(Path("breezeblock.toml"), {})
app = Celery("hanging", set_as_current=False)
app.conf.update(celery_config(settings))

@app.task(name="hang")
def hang():
    Path("hangs").touch()
    time.sleep(60)

worker._app = lambda *_: app
worker.run(settings, "control", "x", 1, sys.argv[1])
"""


@pytest.mark.slow
@pytest.mark.parametrize("pool", ["prefork", "solo", "threads"])
def test_a_task_that_hangs_does_not_keep_a_worker_from_stopping(
    tmp_path: Path, broker_url: str, pool: str
) -> None:
    queue = redis.Redis.from_url(broker_url)
    queue.flushall()
    config = f'[broker]\nurl = "{broker_url}"\n[worker]\nshutdown_timeout = 1\n'
    (tmp_path / "breezeblock.toml").write_text(config)
    app = Celery(set_as_current=False)
    app.conf.update(celery_config(load(tmp_path / "breezeblock.toml", {})))
    command = [sys.executable, "-c", HANGING_WORKER, pool]
    with subprocess.Popen(command, cwd=tmp_path) as worker:
        app.send_task("hang", queue=CONTROL)
        wait_for((tmp_path / "hangs").exists)
        below = psutil.Process(worker.pid).children(recursive=True)
        asked = time.monotonic()
        worker.send_signal(signal.SIGTERM)
        worker.wait(20)
        assert 1 <= time.monotonic() - asked < 12
    wait_for(lambda: not any(child.is_running() for child in below))
    if pool == "prefork":  # the others cannot be interrupted: the sweeper finds what they had
        assert queue.llen(CONTROL) == 1


def bodies(queue: "redis.Redis", name: str) -> list[bytes]:
    """The messages that wait in a queue, newest first."""
    import base64
    import json

    return [
        base64.b64decode(json.loads(envelope)["body"]) for envelope in queue.lrange(name, 0, -1)
    ]


def test_beat_ticks_without_a_database(tmp_path: Path, broker_url: str) -> None:
    config = (
        f'[broker]\nurl = "{broker_url}"\n[sweeper]\ninterval = 0.2\n'
        '[database]\nurl = "postgresql://u:p@192.0.2.1/none"\n'
    )
    queue = redis.Redis.from_url(broker_url)
    with running(tmp_path, config, "beat") as beat:
        wait_for(lambda: queue.llen("sweep") >= 2)
        loaded = {Path(part.path).name for part in psutil.Process(beat.pid).memory_maps()}
        assert not any("psycopg" in name or "sqlalchemy" in name for name in loaded)
        beat.send_signal(signal.SIGTERM)
        assert beat.wait(10) == 0


def test_flower_shows_and_changes_nothing(tmp_path: Path, broker_url: str) -> None:
    port = free_port()
    config = (
        f'[broker]\nurl = "{broker_url}"\n'
        f'[flower]\nport = {port}\nbasic_auth = "operator:hunter2"\n'
    )
    url = f"http://127.0.0.1:{port}"
    login = ("operator", "hunter2")

    def serves() -> bool:
        with contextlib.suppress(requests.ConnectionError):
            return requests.get(f"{url}/healthcheck", timeout=5).ok
        return False

    with running(tmp_path, config, "flower") as flower:
        wait_for(serves)
        assert requests.get(f"{url}/workers", timeout=5).status_code == 401
        assert requests.get(f"{url}/workers", auth=login, timeout=5).status_code == 200
        refused = requests.post(
            f"{url}/api/task/send-task/sweep.tick", auth=login, json={}, timeout=5
        )
        assert refused.status_code == 403
        assert not any("hunter2" in word for word in psutil.Process(flower.pid).cmdline())
        flower.send_signal(signal.SIGTERM)
        assert flower.wait(10) == 0
    assert "hunter2" not in log_of(tmp_path)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--help",), "Run the whole service here"),
        (("up", "--help"), "--nodes"),
        (("worker", "--help"), "{control|events|scheduler|node}"),
        (("db", "upgrade", "--help"), "Bring the database"),
        (("api", "--help"), "gunicorn"),
        (("beat", "--help"), "sweeper"),
        (("flower", "--help"), "read-only"),
        (("flow", "--help"), "show"),
        (("node", "--help"), "drain"),
        (("status", "--help"), "pool"),
    ],
)
def test_help_everywhere(words: tuple[str, ...], says: str) -> None:
    from click.testing import CliRunner

    from cli.main import main

    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    assert says in result.output
