"""A real node worker in a process of its own, on a real broker, as on a storage node."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import uuid
import venv
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from celery import Celery

from cli import broker as embedded_broker
from config.celery import celery_config
from config.routing import node_queue
from config.settings import load
from tests.tasks.node import bare
from tests.tasks.node.support import (
    FINISH,
    Harness,
    known_ledger,
    message,
    node_environment,
    set_faults,
)

CREATE = "volume.create.create"
ROOT = Path(__file__).parents[3]
BARE = (sys.executable, str(Path(bare.__file__)))


@contextmanager
def serving(url: str, folder: Path) -> Iterator[None]:
    """A real broker, killed in the end."""
    with subprocess.Popen(
        embedded_broker.command(url, folder), stdout=subprocess.DEVNULL
    ) as server:
        try:
            wait_for(lambda: embedded_broker.answers(url))
            yield
        finally:
            server.kill()


def free_url() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"redis://127.0.0.1:{probe.getsockname()[1]}/0"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real server that only these tests use."""
    url = free_url()
    with serving(url, tmp_path_factory.mktemp("broker")):
        yield url


def client(url: str, host: str) -> Harness:
    app = Celery(set_as_current=False)
    app.conf.update(celery_config(load(environ={"BREEZEBLOCK_BROKER__URL": url})))
    return Harness(app, host)


@pytest.fixture
def harness(broker: str, host: str) -> Harness:
    found = client(broker, host)
    found.drain()
    return found


@pytest.fixture
def environment(tmp_path: Path, broker: str, host: str) -> dict[str, str]:
    """What a storage node's worker gets: no database, and a file back end beside the fake."""
    own = node_environment(
        tmp_path,
        host,
        broker,
        BACKENDS__FILE__DRIVER="file",
        BACKENDS__FILE__FOLDER=str(tmp_path / "volumes"),
        NODE__CONCURRENCY="2",
        WORKER__SHUTDOWN_TIMEOUT="3",
    )
    assert not any("DATABASE" in key for key in own)
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **own}


@contextmanager
def worker(
    environment: dict[str, str], folder: Path, command: tuple[str, ...] = BARE
) -> Iterator[subprocess.Popen[bytes]]:
    """A node worker from its first report on; killed in the end, unless it has gone by then."""
    log = folder / "worker.log"
    known_ledger(load(environ=environment).node.ledger)
    with (
        log.open("ab") as output,
        subprocess.Popen(
            [*command, "worker", "node"],
            env=environment,
            cwd=folder,
            stdout=output,
            stderr=output,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield process
        except BaseException:
            print(log.read_text())  # noqa: T201 - pytest shows it with the failure
            raise
        finally:
            process.kill()


def wait_for(condition: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_a_worker_without_server_packages_or_database_makes_a_file(
    harness: Harness, environment: dict[str, str], tmp_path: Path, host: str
) -> None:
    with worker(environment, tmp_path) as process:
        asked = message(host, backend="file")
        harness.send(CREATE, asked)

        task, body = harness.next()
        assert (task, body["reply"]["outcome"]) == (FINISH, "done")
        made = tmp_path / "volumes" / asked["op"]["object"]
        assert made.stat().st_size == 1 << 30

        process.terminate()
        assert process.wait(10) == 0


def test_the_server_packages_are_really_kept_out(tmp_path: Path) -> None:
    for name in ("flask", "sqlalchemy", "db.models"):
        program = f"import sys; from tests.tasks.node.bare import NotHere; \
sys.meta_path.insert(0, NotHere()); import {name}"
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert "is not on a storage node" in done.stderr


def test_killed_in_the_middle_of_a_create_it_says_so_and_the_create_can_be_sent_again(
    harness: Harness, environment: dict[str, str], tmp_path: Path, host: str
) -> None:
    set_faults(tmp_path, create=[{"fault": "hang"}])
    asked = message(host)
    with worker(environment, tmp_path) as process:
        harness.send(CREATE, asked)
        (run,) = harness.next_report(running=...)["running"]
        assert run["object"] == asked["op"]["object"]
        process.kill()
        process.wait()
    harness.drain()
    set_faults(tmp_path)

    with worker(environment, tmp_path):
        report = harness.next_report(interrupted=...)
        assert report["incarnation"]["number"] == 3
        assert [(cut["flow"], cut["epoch"]) for cut in report["interrupted"]] == [
            (asked["flow"], 1)
        ]
        assert harness.quiet(), "nobody has asked for it again"

        harness.send(CREATE, {**asked, "epoch": 2})

        task, body = harness.next()
        assert (task, body["epoch"], body["reply"]["incarnation"]) == (FINISH, 2, 3)
        harness.next_report(interrupted=[])


def test_told_to_stop_it_ends_what_it_has_begun_and_gives_the_rest_back(
    harness: Harness, environment: dict[str, str], tmp_path: Path, host: str
) -> None:
    slow = {
        **environment,
        "BREEZEBLOCK_CONFIG": str(tmp_path / "node.toml"),
    }
    (tmp_path / "node.toml").write_text("[backends.slow]\ndriver = 'fake'\nlatency.create = 1.0\n")
    with worker(slow, tmp_path) as process:
        harness.next_report()
        for _ in range(6):
            harness.send(CREATE, message(host, backend="slow"))
        harness.next_report(running=...)
        process.terminate()
        assert process.wait(10) == 0

    done = 0
    while not harness.quiet():
        done += 1
    assert 2 <= done < 6
    with harness.app.connection_for_read() as connection:
        left = connection.default_channel.client.llen(node_queue(host))
    assert done + left == 6, "none is lost, none is done and given back"


def test_told_to_stop_it_does_not_wait_for_ever_for_what_hangs(
    harness: Harness, environment: dict[str, str], tmp_path: Path, host: str
) -> None:
    set_faults(tmp_path, create=[{"fault": "hang"}])
    with worker(environment, tmp_path) as process:
        harness.send(CREATE, message(host))
        harness.next_report(running=...)
        begun = time.monotonic()

        process.send_signal(signal.SIGTERM)

        assert process.wait(10) == 0
        assert 1 < time.monotonic() - begun < 4
    harness.drain()

    with worker(environment, tmp_path):
        assert harness.next_report(interrupted=...)


def test_it_reports_and_works_on_when_its_broker_comes_back_empty(
    environment: dict[str, str], tmp_path: Path, host: str
) -> None:
    url = free_url()
    environment["BREEZEBLOCK_BROKER__URL"] = url
    with ExitStack() as stack:
        with serving(url, tmp_path):
            stack.enter_context(worker(environment, tmp_path))
            before = client(url, host).next_report()
        time.sleep(1)
        stack.enter_context(serving(url, tmp_path))
        harness = client(url, host)

        after = harness.next_report()
        harness.send(CREATE, message(host))

        assert after["incarnation"] == before["incarnation"]
        assert after["sequence"] > before["sequence"]
        assert harness.next(timeout=30).task == FINISH


@pytest.mark.slow
def test_a_machine_with_nothing_but_what_a_node_needs(
    harness: Harness, environment: dict[str, str], tmp_path: Path, host: str
) -> None:
    source = tmp_path / "source"
    ignored = shutil.ignore_patterns(".*", "var", "build", "*.egg-info", "__pycache__", "tests")
    shutil.copytree(ROOT, source, ignore=ignored)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    wheel = [*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", str(tmp_path), str(source)]
    subprocess.run(wheel, check=True)
    venv.create(tmp_path / "venv")
    into = [*pip, "--python", str(tmp_path / "venv" / "bin" / "python"), "install"]
    locked = ["--require-hashes", "-r", str(ROOT / "requirements" / "node.txt")]
    subprocess.run([*into, *locked], check=True)
    (built,) = tmp_path.glob("breezeblock-*.whl")
    subprocess.run([*into, "--no-deps", str(built)], check=True)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(tmp_path / "venv")}))
    assert not any((packages / name).exists() for name in ("flask", "sqlalchemy", "alembic"))

    del environment["PYTHONPATH"]
    with worker(environment, tmp_path, (str(tmp_path / "venv" / "bin" / "breezeblock"),)):
        asked = message(host, volume_id=str(uuid.uuid4()), backend="file")
        harness.send(CREATE, asked)

        assert harness.next(timeout=30).body["reply"]["outcome"] == "done"
        assert (tmp_path / "volumes" / asked["op"]["object"]).is_file()
