"""What a storm comes over: two of everything, three nodes, PostgreSQL and a broker."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from drivers.fake_faults import write_faults
from drivers.folder import MARKER
from tests import rabbitmq
from tests.postgresql import Server, private_server
from tests.stack import Broker, Stack
from tests.truth import Truth

DriverName = Literal["fake", "file"]

NODES = {"node1": 60, "node2": 50, "node3": 40}
"""GiB in each. Together less than the projects may use, so that pools are full now and then."""
MORE = ("api2", "control2", "scheduler2", "events2", "beat2")
APIS = ("api", "api2")
LATENCY_SECONDS = 0.05
QUOTA = {"QUOTA__VOLUMES": "14", "QUOTA__GIGABYTES": "45"}
QUICK = {"SWEEPER__INTERVAL": "0.6", "NODE__REPORT_INTERVAL": "1"}
"""With two of everything the stack's still shorter ones are more than a busy machine can do."""
DEFAULTS = {
    "API__ADMISSION_TIMEOUT": "15",
    "SWEEPER__INTERVAL": "2",
    "SWEEPER__MAX_BACKOFF_TICKS": "15",
    "NODE__REPORT_INTERVAL": "3",
    "WORKER__SHUTDOWN_TIMEOUT": "20",
}
"""The product's own, in place of the stack's that make a test quick."""


@dataclass(frozen=True, slots=True)
class Site:
    """An installation with its database server, and what is true of it."""

    stack: Stack
    truth: Truth
    server: Server


@contextmanager
def running_site(
    folder: Path,
    *,
    broker: Broker = "redis",
    driver: DriverName = "fake",
    settings: Mapping[str, str] | None = None,
    connections: int | None = None,
) -> Iterator[Site]:
    """All of it, up. It ends with the block.

    With `connections` the service gets no more than that from PostgreSQL; the truth is not counted.
    """
    with ExitStack() as ending:
        server = ending.enter_context(private_server())
        database = ending.enter_context(server.database())
        backends = {node: _backend(folder, node, driver) for node in NODES}
        url = _limited(server, database, connections) if connections else database
        stack = Stack(folder, backends, url, {**QUOTA, **QUICK, **(settings or {})}, kind=broker)
        stack.core = (*stack.core, *MORE)
        ending.callback(stack.close)

        def objects(node: str) -> dict[str, int]:
            return _objects(folder, node, driver)

        truth = Truth(database, NODES, objects)
        ending.callback(truth.close)
        if broker == "rabbitmq":
            rabbitmq.needed()
        stack.start()
        stack.wait_until_up()
        yield Site(stack, truth, server)


def _limited(server: Server, url: str, connections: int) -> str:
    """The URL of the same database for an account that is allowed so many connections."""
    name = url.rpartition("/")[2]
    with server.connect() as connection:
        for statement in (
            f"CREATE ROLE service LOGIN CONNECTION LIMIT {connections}",
            f"ALTER DATABASE {name} OWNER TO service",
        ):
            connection.execute(statement.encode())
    return url.replace("breezeblock@", "service@")


def _backend(folder: Path, node: str, driver: DriverName) -> dict[str, str]:
    if driver == "file":
        return {
            "BACKENDS__FILE__DRIVER": "file",
            "BACKENDS__FILE__FOLDER": str(folder / node / "volumes"),
        }
    slow = [{"fault": "hang", "seconds": LATENCY_SECONDS}]
    write_faults(folder / f"{node}.faults", {"create": slow, "delete": slow, "extend": slow})
    return {
        "BACKENDS__FAKE__DRIVER": "fake",
        "BACKENDS__FAKE__TOTAL_GIB": str(NODES[node]),
        "BACKENDS__FAKE__MAX_OVER_SUBSCRIPTION_RATIO": "1",
        "BACKENDS__FAKE__STATE_FILE": str(folder / f"{node}.objects"),
        "BACKENDS__FAKE__FAULTS_FILE": str(folder / f"{node}.faults"),
    }


def _objects(folder: Path, node: str, driver: DriverName) -> dict[str, int]:
    if driver == "file":
        here = (folder / node / "volumes").iterdir()
        return {one.name: one.stat().st_size >> 30 for one in here if one.name != MARKER}
    with closing(sqlite3.connect(folder / f"{node}.objects")) as connection:
        return dict(connection.execute("SELECT name, size_gib FROM object").fetchall())
