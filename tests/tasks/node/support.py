"""A storage node for tests: its settings, the messages that it gets, and what it sends."""

import json
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from queue import Empty
from typing import Any, NamedTuple

from celery import Celery, chain
from celery.contrib.testing.worker import start_worker
from celery.worker import state

from config.routing import CONTROL, EVENTS, node_queue
from config.settings import Settings, load
from tasks.node.app import make_node_celery
from tasks.node.ledger import Ledger
from tasks.node.steps import STEPS

FINISH = "volume.create.finish"
LEDGER = "5e7a6f2c-0b0e-4a53-9a7a-2f1f0f6c4d11"
"""The ledger that the messages are for, and the nodes have."""


def node_settings(folder: Path, host: str, broker: str = "memory://", **env: str) -> Settings:
    """A node with one back end `fake`, whose faults and objects are files in `folder`."""
    return load(environ=node_environment(folder, host, broker, **env))


def node_environment(folder: Path, host: str, broker: str, **env: str) -> dict[str, str]:
    """The same as variables of a process; `env` adds some, without their prefix."""
    given = {
        "PATHS__DATA": str(folder),
        "NODE__NAME": host,
        "NODE__REPORT_INTERVAL": "0.3",
        "BROKER__URL": broker,
        "BACKENDS__FAKE__DRIVER": "fake",
        "BACKENDS__FAKE__STATE_FILE": str(folder / "objects"),
        "BACKENDS__FAKE__FAULTS_FILE": str(folder / "faults.json"),
        **env,
    }
    return {f"BREEZEBLOCK_{key}": value for key, value in given.items()}


def set_faults(folder: Path, **faults: list[dict[str, Any]]) -> None:
    """Have the fake back end fail from now on; without faults, work again."""
    draft = folder / "faults.draft"
    draft.write_text(json.dumps(faults))
    draft.rename(folder / "faults.json")


def message(
    host: str,
    verb: str = "create",
    volume_id: str = "",
    *,
    epoch: int = 1,
    backend: str = "fake",
    size_gib: int = 1,
    **changes: Any,
) -> dict[str, Any]:
    """What the engine sends to the node `host`."""
    volume_id = volume_id or str(uuid.uuid4())
    return {
        "v": 1,
        "flow": f"flow of {volume_id}",
        "kind": "volume.create",
        "epoch": epoch,
        "request_id": "req-1",
        "resource": volume_id,
        "project": "p",
        "ctx": {"earlier": 1},
        "node": host,
        "ledger": LEDGER,
        "op": {
            "verb": verb,
            "backend": backend,
            "pool": backend,
            "object": f"volume-{volume_id}",
            "volume_id": volume_id,
            "size_gib": size_gib,
            "spec": {},
        },
        "reply": None,
        **changes,
    }


class Sent(NamedTuple):
    """A message as it stands in a queue."""

    task: str
    body: dict[str, Any]


class Harness:
    """The control plane's end of the queues of one node."""

    def __init__(self, app: Celery, host: str) -> None:
        self.app, self.host = app, host

    def send(self, task: str, body: Any) -> None:
        """Send one task to the node, and behind it the control step that gets its reply."""
        first = self.app.signature(task, args=(body,), options={"queue": node_queue(self.host)})
        then = self.app.signature(FINISH, options={"queue": CONTROL})
        chain(first, then, app=self.app).apply_async()

    def send_alone(self, task: str, body: Any) -> None:
        """Send a task that is part of no chain."""
        self.app.send_task(task, args=[body], queue=node_queue(self.host))

    def next(self, queue: str = CONTROL, timeout: float = 15.0) -> Sent:
        """The next message in a queue of the control plane."""
        with self.app.connection_for_read() as connection:
            waiting = connection.SimpleQueue(queue)
            try:
                found = waiting.get(timeout=timeout)
                found.ack()
            finally:
                waiting.close()
        return Sent(found.headers["task"], found.payload[0][0])

    def quiet(self, queue: str = CONTROL, timeout: float = 0.3) -> bool:
        """Whether nothing comes to a queue for some time."""
        try:
            self.next(queue, timeout)
        except Empty:
            return True
        return False

    def next_report(self, **wanted: Any) -> dict[str, Any]:
        """The next report of the node in which each key named is there and true."""
        while True:
            sent = self.next(EVENTS)
            if sent.body["host"] == self.host and all(
                sent.body[key] == value if value is not ... else sent.body[key]
                for key, value in wanted.items()
            ):
                return sent.body

    def drain(self) -> None:
        """Forget what an earlier test left in the queues, which outlive it."""
        with self.app.connection_for_write() as connection:
            for queue in (CONTROL, EVENTS):
                connection.default_channel.queue_purge(queue)


def known_ledger(path: Path) -> None:
    """The ledger LEDGER, where there is none yet."""
    if not path.exists():
        Ledger(path).close()
        with closing(sqlite3.connect(path)) as file, file:
            file.execute("UPDATE identity SET uuid = ?", (LEDGER,))


@contextmanager
def running_node(settings: Settings, pool: str = "solo") -> Iterator[Harness]:
    """A node worker in a thread of this process."""
    app = make_node_celery(settings)
    if settings.broker.url == "memory://":
        app.conf.broker_transport_options = {"polling_interval": 0.01}  # 1 s by default
    host = settings.node.name
    harness = Harness(app, host)
    harness.drain()
    known_ledger(settings.node.ledger)
    with start_worker(
        app, pool=pool, concurrency=4, queues=[node_queue(host)], perform_ping_check=False
    ):
        try:
            yield harness
        finally:
            # The worker sees that it is to end when a message comes, or after two seconds, and
            # waits for one more message then.
            state.should_terminate = 0
            for _ in range(2):
                harness.send_alone("node.ping", {"v": 1, "tick": 0})


def source(name: str, size_gib: int = 1) -> dict[str, Any]:
    return {"kind": name.partition("-")[0], "object": name, "size_gib": size_gib}


def order(
    host: str, task: str, name: str, *, epoch: int = 1, size_gib: int = 1, **op: Any
) -> dict[str, Any]:
    """What the engine sends for `task`, about the object `name`."""
    asked = message(host, STEPS[task], epoch=epoch, size_gib=size_gib)
    asked["op"].update(object=name, **op)
    return asked


def do(node: Harness, task: str, name: str, **op: Any) -> dict[str, Any]:
    """Have `task` done; returns the reply."""
    node.send(task, order(node.host, task, name, **op))
    return dict(node.next().body["reply"])


def named(kind: str) -> str:
    return f"{kind}-{uuid.uuid4()}"
