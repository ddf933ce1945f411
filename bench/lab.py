"""What the benchmarks run on: a broker, a PostgreSQL server and the service, each its own process.

Everything listens on loopback, on free ports, and lives in a temporary folder. PostgreSQL is the
system's (Debian: postgresql), with `synchronous_commit` on, as in production.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import redis
import requests

from cli import broker

START_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Lab:
    """Where the service under test is; `processes` are all of it, the database included."""

    api: str
    broker: str
    processes: Mapping[str, int]


def free_port() -> int:
    """A TCP port on loopback that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def running(command: list[str], log: Path, **options: object) -> Iterator[subprocess.Popen[bytes]]:
    """A process that ends with the block, softly at first."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            **options,  # type: ignore[call-overload]
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_for(what: str, ready: object, log: Path) -> None:
    """Poll until `ready()`; with the log's end in the error when it takes too long."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            if ready():  # type: ignore[operator]
                return
        except (OSError, redis.RedisError, requests.RequestException, subprocess.SubprocessError):
            pass
        time.sleep(0.1)
    raise SystemExit(f"{what} did not start:\n{log.read_text(errors='replace')[-2000:]}")


@contextmanager
def redis_server(folder: Path) -> Iterator[tuple[str, int]]:
    """A Redis-compatible server without persistence; yields its URL and process id."""
    url = f"redis://127.0.0.1:{free_port()}/0"
    command = list(broker.command(url, folder))
    if binary := shutil.which("redis-server"):
        command[0] = binary
    log = folder / "redis.log"
    with running(command, log) as process:
        wait_for("Redis", redis.Redis.from_url(url).ping, log)
        yield url, process.pid


@contextmanager
def postgresql(folder: Path) -> Iterator[tuple[str, int]]:
    """A private PostgreSQL server; yields its URL and process id."""
    bins = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not bins:
        raise SystemExit("needs PostgreSQL (apt: postgresql)")
    data, port = folder / "postgresql", free_port()
    data.mkdir()
    options: dict[str, object] = {}
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        account = pwd.getpwnam("postgres")
        os.chown(data, account.pw_uid, account.pw_gid)
        folder.chmod(0o755)
        options = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    init = [
        str(bins[-1] / "initdb"),
        "-D",
        str(data),
        "-U",
        "breezeblock",
        "-A",
        "trust",
        "-E",
        "UTF8",
    ]
    subprocess.run(init, check=True, capture_output=True, cwd=data, **options)  # type: ignore[call-overload]
    command = [str(bins[-1] / "postgres"), "-D", str(data), "-p", str(port), "-k", str(data)]
    command += ["-c", "listen_addresses=127.0.0.1", "-c", "max_connections=200"]
    log = folder / "postgresql.log"
    ready = [str(bins[-1] / "pg_isready"), "-h", "127.0.0.1", "-p", str(port), "-q"]
    with running(command, log, cwd=data, **options) as process:
        wait_for("PostgreSQL", lambda: subprocess.run(ready, check=False).returncode == 0, log)
        yield f"postgresql://breezeblock@127.0.0.1:{port}/postgres", process.pid


@contextmanager
def service(
    broker_url: str | None = None,
    database: str | None = None,
    settings: Mapping[str, str] | None = None,
    backends: str = '[backends.fake]\ndriver = "fake"\ntotal_gib = 1000000\n',
    flower: bool = False,
) -> Iterator[Lab]:
    """The whole service by `breezeblock up`; without arguments on its embedded defaults."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="breezeblock-bench-")))
        port = free_port()
        environment = {k: v for k, v in os.environ.items() if not k.startswith("BREEZEBLOCK_")}
        environment |= {
            "BREEZEBLOCK_API__PORT": str(port),
            "BREEZEBLOCK_FLOWER__PORT": str(free_port()),
            "BREEZEBLOCK_PATHS__DATA": str(folder / "var"),
            "BREEZEBLOCK_QUOTA__VOLUMES": "-1",
            "BREEZEBLOCK_QUOTA__GIGABYTES": "-1",
            "BREEZEBLOCK_BROKER__URL": broker_url or f"redis://127.0.0.1:{free_port()}/0",
            "BREEZEBLOCK_BROKER__EMBEDDED": "false" if broker_url else "true",
            **(settings or {}),
        }
        if database:
            environment["BREEZEBLOCK_DATABASE__URL"] = database
        config = folder / "breezeblock.toml"
        config.write_text(backends)
        command = [sys.executable, "-m", "cli.main", "--config", str(config), "up"]
        command += [] if flower else ["--without", "flower"]
        log = folder / "up.log"
        process = stack.enter_context(running(command, log, env=environment))
        api = f"http://127.0.0.1:{port}"
        wait_for("the service", lambda: "Ready after" in log.read_text(errors="replace"), log)
        wait_for("a pool", lambda: _pools(api), log)
        yield Lab(api, environment["BREEZEBLOCK_BROKER__URL"], _family(process.pid))


def _pools(api: str) -> list[object]:
    answer = requests.get(
        f"{api}/v3/bench/scheduler-stats/get_pools", headers=as_admin("bench"), timeout=5
    )
    return list(answer.json()["pools"])


def as_admin(project: str) -> dict[str, str]:
    """The headers of a request for `project` under `noauth`."""
    return {"X-Auth-Token": f"admin:{project}"}


def _family(pid: int) -> dict[str, int]:
    """Each process of the stack by the name that its command line gives it."""
    named = {}
    for child in psutil.Process(pid).children(recursive=True):
        words = child.cmdline()
        # the words of the command, and of a node the name of its settings file
        own = words[words.index("cli.main") + 1 :] if "cli.main" in words else [child.name()]
        name = " ".join(Path(word).stem for word in own if not word.startswith("--"))
        named[f"{name} ({child.pid})"] = child.pid
    return named


def cpu_seconds(pids: Iterable[int]) -> float:
    """CPU seconds, user and system, that these processes and their children have used."""
    family = {
        process
        for pid in pids
        for process in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True))
    }
    total = 0.0
    for process in family:
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def stop_on_interrupt() -> None:
    """End like Ctrl-C on SIGTERM too, so that what was started is stopped."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
