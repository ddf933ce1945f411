"""The whole service as real processes, each of which a test can kill, stop and start by itself.

Parts are named `broker`, `api`, `control`, `scheduler`, `events`, `node1` …, `beat` and `flower`;
a number behind the name of any but a node (`control2`, `beat2`) is one more of the same; one more
API has a port of its own. RabbitMQ has an `epmd` besides.
"""

import contextlib
import os
import re
import shutil
import signal
import sys
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import redis
import requests

from cli import broker
from config.settings import load
from db import upgrade
from tests import rabbitmq, saboteur
from tests.processes import Running, free_ports, wait_for

TEST_BROKER = "BREEZEBLOCK_TEST_BROKER"
"""Variable: the command of the system's server (redis-server), instead of the wheel's."""

FAST = {
    "API__ADMISSION_TIMEOUT": "6",
    "SWEEPER__INTERVAL": "0.3",
    "SWEEPER__MAX_BACKOFF_TICKS": "5",
    "NODE__REPORT_INTERVAL": "0.3",
    "WORKER__SHUTDOWN_TIMEOUT": "5",
}
"""Settings under which a loss is found in seconds."""
STEADY = {"SWEEPER__INTERVAL": "0.6", "NODE__REPORT_INTERVAL": "1"}
"""With RabbitMQ, where each message is a flush to the disk: a busy one must keep up with them."""

TREE = Path(__file__).parents[1]
Broker = Literal["redis", "rabbitmq"]
MICROVERSION = {"OpenStack-API-Version": "volume 3.71"}
_PREFIX = "BREEZEBLOCK_"
_DATABASE = ("api", "control", "scheduler", "events")


class Stack:
    """The service in `folder`; `backends` gives each node its settings as environment variables.

    Without `database` it uses SQLite. `kind` is that of the broker. With `sabotage` the workers are
    those of `tests.saboteur`, with the plan in that folder. Nothing runs until `start`.
    """

    def __init__(
        self,
        folder: Path,
        backends: Mapping[str, Mapping[str, str]],
        database: str | None = None,
        settings: Mapping[str, str] | None = None,
        kind: Broker = "redis",
        sabotage: Path | None = None,
    ) -> None:
        self.folder, self._backends, self._sabotage = folder, backends, sabotage
        self.port, self.broker_port, self.flower_port, *self._erlang_ports = free_ports(5)
        self._has_rabbitmq = kind == "rabbitmq"
        self.broker_url = f"redis://127.0.0.1:{self.broker_port}/0"
        if self._has_rabbitmq:
            self.broker_url = rabbitmq.url(self.broker_port)
        self.database = database or f"sqlite:///{folder}/breezeblock.db"
        self._settings = {**FAST, **(STEADY if self._has_rabbitmq else {}), **(settings or {})}
        self._more_ports: dict[str, int] = {}
        self.running: dict[str, Running] = {}
        self.redis = redis.Redis.from_url(f"redis://127.0.0.1:{self.broker_port}/0")
        before = ("epmd",) if self._has_rabbitmq else ()
        self.core = (*before, "broker", "api", "control", "scheduler", "events", *backends, "beat")
        upgrade(load(environ=self._environment("control")))

    @property
    def nodes(self) -> Iterable[str]:
        """The names of its storage nodes."""
        return self._backends

    @property
    def interval(self) -> float:
        """Seconds between two ticks of the sweeper."""
        return float(self._settings["SWEEPER__INTERVAL"])

    # -- processes -------------------------------------------------------------------------------

    def start(self, *names: str, **settings: str) -> None:
        """Start parts (all of the core without names); `settings` go before the stack's own.

        Returns when they run, which is earlier than that they serve: see `wait_until_up`.
        """
        for name in names or self.core:
            assert not self.is_alive(name), f"{name} runs already"
            env = {key: v for key, v in os.environ.items() if not key.startswith(_PREFIX)}
            env |= self._environment(name)
            env |= self.erlang if name == "broker" else {}
            if self._sabotage is not None:
                env |= {saboteur.VARIABLE: str(self._sabotage), "PYTHONPATH": str(TREE)}
            env |= {_PREFIX + key: value for key, value in settings.items()}
            self.running[name] = Running(self._command(name), self.log(name), env, cwd=self.folder)
            if name == "broker":
                wait_for(self._broker_answers, 60, doing="broker")

    def _broker_answers(self) -> bool:
        if self._has_rabbitmq:
            return rabbitmq.answers(self.broker_url)
        return broker.answers(self.broker_url)

    def kill(self, *names: str) -> None:
        """End parts as a crash does, all at the same moment."""
        parts = [self.running[name] for name in names]
        for part in parts:
            part.send(signal.SIGKILL)
        for part in parts:
            part.kill()

    def stop(self, *names: str) -> None:
        """End parts softly."""
        for name in names:
            self.running[name].send(signal.SIGTERM)
        for name in names:
            self.running[name].stop()

    def is_alive(self, name: str) -> bool:
        return name in self.running and self.running[name].alive

    @contextlib.contextmanager
    def paused(self, name: str) -> Iterator[None]:
        """The part is there, and does nothing (SIGSTOP): it, and all below it."""
        part = self.running[name]
        everything = [part.pid, *(child.pid for child in part.below())]
        _signal(everything, signal.SIGSTOP)
        try:
            yield
        finally:
            _signal(everything, signal.SIGCONT)

    def heal(self) -> None:
        """Start what is missing of the core, end what is more, and wait until all is up."""
        for name in set(self.running) - set(self.core):
            self.running.pop(name).end()
        missing = [name for name in self.core if not self.is_alive(name)]
        if missing:
            self.start(*missing)
        self.wait_until_up()

    def close(self) -> None:
        """End everything at once."""
        for part in self.running.values():
            part.end()
        self.redis.close()

    def wait_until_up(self, *nodes: str) -> None:
        """Wait until the API says that the scheduler and these nodes (all by default) are up."""
        wanted = {"scheduler", *(nodes or self._backends)}
        wait_for(lambda: wanted <= self._up_or_nothing(), 120, f"{wanted} up")

    def _up_or_nothing(self) -> set[str]:
        dead = [name for name, part in self.running.items() if not part.alive]
        assert not dead, f"{dead} ended: {self.tail(dead[0])}"
        with contextlib.suppress(requests.ConnectionError):
            return self.up()
        return set()

    def up(self) -> set[str]:
        """The nodes of which all backends are up, and "scheduler" if that is."""
        services = self.call("GET", "/os-services").json()["services"]
        down = {_part_of(one) for one in services if one["state"] != "up"}
        return {_part_of(one) for one in services} - down

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def tail(self, name: str, size: int = 4000) -> str:
        """The end of a part's log."""
        return self.log(name).read_text(errors="replace")[-size:]

    @property
    def erlang(self) -> dict[str, str]:
        """The environment of RabbitMQ and its tools; empty with Redis."""
        if not self._has_rabbitmq:
            return {}
        return rabbitmq.environment(self.folder, self.broker_port, *self._erlang_ports)

    def _command(self, name: str) -> list[str]:
        role = re.sub(r"[0-9]+$", "", name)
        if role == "epmd":
            return rabbitmq.mapper(self._erlang_ports[1])
        if role == "broker" and self._has_rabbitmq:
            return rabbitmq.command()
        if role == "broker":
            command = list(broker.command(self.broker_url, self.folder))
            command[0] = _wanted_broker() or command[0]
            return command
        words = {
            **dict.fromkeys(("control", "scheduler", "events"), ("worker", role, "--name", name)),
            "node": ("worker", "node"),
        }.get(role, (role,))
        sabotaged = self._sabotage is not None and words[0] == "worker"
        module = "tests.saboteur" if sabotaged else "cli.main"
        return [sys.executable, "-P", "-m", module, *words]

    def _environment(self, name: str) -> dict[str, str]:
        """What this part, and no other, is told."""
        settings = {
            "PATHS__DATA": str(self.folder),
            "BROKER__URL": self.broker_url,
            "BROKER__EMBEDDED": "false",
            **self._settings,
        }
        if name in self._backends:
            settings |= {"NODE__NAME": name, **self._backends[name]}
        elif name.startswith(_DATABASE):
            settings |= {"DATABASE__URL": self.database, "API__PORT": str(self._port_of(name))}
        elif name == "flower":
            settings |= {
                "FLOWER__PORT": str(self.flower_port),
                "FLOWER__BASIC_AUTH": ":".join(FLOWER_LOGIN),
            }
        return {_PREFIX + key: value for key, value in settings.items()}

    # -- requests --------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        return self.url_of("api")

    def url_of(self, api: str) -> str:
        """Where the part `api`, `api2` … serves."""
        return f"http://127.0.0.1:{self._port_of(api)}"

    def _port_of(self, name: str) -> int:
        if name == "api" or not name.startswith("api"):
            return self.port
        if name not in self._more_ports:
            (self._more_ports[name],) = free_ports(1)
        return self._more_ports[name]

    def call(
        self, method: str, path: str, body: Any = None, project: str = "p", **headers: str
    ) -> requests.Response:
        """One request as an administrator of `project`; `Idempotency_Key=` is a header."""
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        return requests.request(
            method,
            f"{self.url}/v3/{project}{path}",
            json=body,
            headers={"X-Auth-Token": f"tester:{project}", **MICROVERSION, **named},
            timeout=60,
        )

    def post_volume(self, project: str, size: int = 1, **headers: str) -> requests.Response:
        return self.call("POST", "/volumes", {"volume": {"size": size}}, project, **headers)

    def create(self, project: str, size: int = 1) -> str:
        """Ask for a volume, which must be admitted; returns its id."""
        answer = self.post_volume(project, size)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["volume"]["id"])

    def create_many(self, project: str, count: int) -> list[requests.Response | None]:
        """Ask for that many at once; None for each of which the connection broke."""

        def one(_: int) -> requests.Response | None:
            with contextlib.suppress(requests.ConnectionError):
                return self.post_volume(project)
            return None

        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(one, range(count)))

    def volume(self, volume: str, project: str = "p") -> dict[str, Any] | None:
        """A volume as the API shows it, None if it shows none."""
        answer = self.call("GET", f"/volumes/{volume}", project=project)
        if answer.status_code == 404:
            return None
        assert answer.ok, answer.text
        return dict(answer.json()["volume"])

    def status(self, volume: str, project: str = "p") -> str:
        """A volume's status; "gone" if there is none."""
        shown = self.volume(volume, project)
        return str(shown["status"]) if shown else "gone"

    def wait_for_status(
        self, volume: str, wanted: str, project: str = "p", seconds: float = 60.0
    ) -> None:
        wait_for(
            lambda: self.status(volume, project) == wanted,
            seconds,
            f"{volume} {wanted}, it is {self.status(volume, project)}",
        )

    def flows_of(self, project: str) -> list[dict[str, Any]]:
        """The flows of a project, without their steps, the newest first."""
        answer = self.call("GET", "/flows", project=project)
        assert answer.ok, answer.text
        return [flow for flow in answer.json()["flows"] if flow["project_id"] == project]

    def flows(self, identifier: str, project: str = "p") -> list[dict[str, Any]]:
        """The flows of a resource with their steps, the newest first."""
        answer = self.call("GET", f"/flows/{identifier}", project=project)
        assert answer.ok, answer.text
        return list(answer.json()["flows"])


FLOWER_LOGIN = ("operator", "flower-secret")


def _part_of(service: Mapping[str, Any]) -> str:
    if service["binary"] == "cinder-scheduler":
        return "scheduler"
    return str(service["host"]).partition("@")[0]


def _signal(pids: Iterable[int], how: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, how)


def _wanted_broker() -> str | None:
    wanted = os.environ.get(TEST_BROKER)
    if not wanted:
        return None
    found = shutil.which(wanted)
    assert found, f"{TEST_BROKER}={wanted} is not installed"
    return found
