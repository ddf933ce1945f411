"""Installations of real processes, on either broker and either database.

A `site` has real storage and is shared by tests that leave it as it was; a `lab` has storage that
does what a test tells it to, and its parts are killed.
"""

import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from drivers.fake_faults import write_faults
from drivers.folder import MARKER
from drivers.names import is_ours
from tests import rabbitmq
from tests.postgresql import Server
from tests.processes import wait_for
from tests.stack import Broker, Stack
from tests.truth import Truth


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here starts processes."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker("slow")


INSTALLATIONS = ("redis-sqlite", "rabbitmq-postgresql")
"""Broker and database: what is shown with these is shown with each of the four."""


def on(*installations: str) -> pytest.MarkDecorator:
    """Have the tests of a lab run with other installations than those."""
    return pytest.mark.parametrize("running_lab", installations, indirect=True, scope="package")


@pytest.fixture
def project() -> str:
    """A project that nothing else uses."""
    return f"p-{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="package", params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def new_database(kind: str, request: pytest.FixtureRequest, ending: ExitStack) -> str | None:
    """The URL of an empty database of that kind; None for the default one."""
    if kind == "sqlite":
        return None
    server: Server = request.getfixturevalue("postgresql_server")
    return ending.enter_context(server.database())


def parts_of(request: pytest.FixtureRequest, ending: ExitStack) -> tuple[Broker, str | None]:
    """Broker and database of the installation that is the parameter of a fixture."""
    broker, _, kind = str(request.param).partition("-")
    if broker != "rabbitmq":
        return "redis", new_database(kind, request, ending)
    rabbitmq.needed()
    return "rabbitmq", new_database(kind, request, ending)


# -- a site: two nodes with files -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Site:
    """Two nodes, each with a folder of files."""

    stack: Stack
    truth: Truth

    def folder(self, node: str) -> Path:
        return self.stack.folder / node / "volumes"

    def file_of(self, volume: dict[str, Any]) -> Path:
        """Where the file of a volume is, by what the API says of its pool."""
        return self.folder(volume["os-vol-host-attr:host"].partition("@")[0]) / (
            f"volume-{volume['id']}"
        )


def make_site(folder: Path, database: str | None) -> Site:
    """A site whose processes are not started yet."""
    backends = {
        node: {
            "BACKENDS__FILE__DRIVER": "file",
            "BACKENDS__FILE__FOLDER": str(folder / node / "volumes"),
        }
        for node in ("node1", "node2")
    }
    # nothing here is to be refused because a busy machine took its time
    stack = Stack(folder, backends, database, {"API__ADMISSION_TIMEOUT": "30"})

    def files(node: str) -> dict[str, int]:
        here = (folder / node / "volumes").iterdir()
        return {one.name: one.stat().st_size >> 30 for one in here if one.name != MARKER}

    return Site(stack, Truth(stack.database, backends, files))


@pytest.fixture(scope="package")
def running_site(
    database: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    with ExitStack() as ending:
        url = new_database(database, request, ending)
        site = make_site(tmp_path_factory.mktemp("site"), url)
        ending.callback(site.truth.close)
        ending.callback(site.stack.close)
        site.stack.start()
        yield site


@pytest.fixture
def site(running_site: Site) -> Site:
    """A shared installation on each database, all of it up."""
    running_site.stack.heal()
    return running_site


# -- a lab: three nodes that fail as they are told to ---------------------------------------------


NODES = ("node1", "node2", "node3")
GIB = {"node1": 3000, "node2": 2000, "node3": 1000}
"""The scheduler prefers the most room, so the order in which nodes are tried is known."""


@dataclass(frozen=True, slots=True)
class Lab:
    """Three nodes with fake storage that outlives its node."""

    stack: Stack
    truth: Truth

    def faults(self, node: str, **table: list[dict[str, Any]]) -> None:
        """Have a node's storage fail from its next call on; without a table, work again."""
        write_faults(self.stack.folder / f"{node}.faults", table)

    def hang(self, *nodes: str) -> None:
        """Every create on these nodes waits until `release`."""
        for node in nodes or NODES:
            self.faults(node, create=[{"fault": "hang"}])

    def release(self) -> None:
        """All storage works."""
        for node in NODES:
            self.faults(node)

    def create_that_hangs(self, project: str) -> tuple[str, str]:
        """A volume whose create has begun on its node and waits; returns its id and the node."""
        self.hang()
        volume = self.stack.create(project)
        return volume, self.wait_for_node(volume, project)

    def wait_for_node(self, volume: str, project: str) -> str:
        """The node whose own record says that it works on a volume."""
        return wait_for(
            lambda: next((node for node in NODES if volume in self._working_on(node)), ""),
            doing=f"a node that works on {volume}",
        )

    def _working_on(self, node: str) -> str:
        ledger = f"file:{self.stack.folder / node / 'ledger.db'}?mode=ro"
        with closing(sqlite3.connect(ledger, uri=True)) as connection:
            rows = connection.execute("SELECT object FROM records WHERE reply IS NULL").fetchall()
        return " ".join(row[0] for row in rows)

    def holds(self, volume: str) -> set[str]:
        """`node/name` of all that is there of a volume."""
        return {name for name in self.truth.objects() if volume in name}


def fake_backend(folder: Path, node: str, gib: int, name: str = "fake") -> dict[str, str]:
    """The settings of a node whose storage does what it is told, and outlives it."""
    options = {
        "DRIVER": "fake",
        "TOTAL_GIB": str(gib),
        "STATE_FILE": str(folder / f"{node}.objects"),
        "FAULTS_FILE": str(folder / f"{node}.faults"),
    }
    return {f"BACKENDS__{name.upper()}__{key}": value for key, value in options.items()}


def fake_objects(folder: Path, node: str) -> dict[str, int]:
    """What such a node holds of ours: sizes in GiB by name."""
    with closing(sqlite3.connect(folder / f"{node}.objects")) as connection:
        rows = connection.execute("SELECT name, size_gib FROM object").fetchall()
    return {name: size for name, size in rows if is_ours(name)}


def make_lab(folder: Path, database: str | None, broker: Broker = "redis") -> Lab:
    """A lab whose processes are not started yet."""
    backends = {node: fake_backend(folder, node, GIB[node]) for node in NODES}
    stack = Stack(folder, backends, database, kind=broker)
    return Lab(stack, Truth(stack.database, NODES, lambda node: fake_objects(folder, node)))


@pytest.fixture(scope="package", params=INSTALLATIONS)
def running_lab(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Lab]:
    with ExitStack() as ending:
        broker, url = parts_of(request, ending)
        lab = make_lab(tmp_path_factory.mktemp("lab"), url, broker)
        ending.callback(lab.truth.close)
        ending.callback(lab.stack.close)
        lab.stack.start()
        yield lab


@pytest.fixture
def lab(running_lab: Lab) -> Iterator[Lab]:
    """An installation to break, all of it up and working. What a test breaks is mended."""
    running_lab.release()
    running_lab.stack.heal()
    yield running_lab
    running_lab.release()
