"""An installation in one thread for each test of the engine."""

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

import db
from config.settings import load
from tests.harness import World, seams
from tests.postgresql import Server

MEMORY = Path("/dev/shm")  # noqa: S108


def environment(folder: Path) -> dict[str, str]:
    """Settings of a control plane whose sweeps are few until something counts as lost."""
    given = {
        "PATHS__DATA": str(folder),
        "BROKER__URL": "memory://",
        "SWEEPER__GRACE_TICKS": "1",
        "SWEEPER__NODE_DOWN_TICKS": "3",
        "SWEEPER__MAX_BACKOFF_TICKS": "3",
        "QUOTA__VOLUMES": "50",
    }
    return {f"BREEZEBLOCK_{key}": value for key, value in given.items()}


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with the schema of the migrations, to be copied."""
    folder = tmp_path_factory.mktemp("migrated")
    db.upgrade(load(environ=environment(folder)))
    copy = folder / "copy.db"
    with closing(sqlite3.connect(folder / "breezeblock.db")) as base:
        base.execute("VACUUM INTO ?", (str(copy),))  # one file, without a write-ahead log
    return copy


@contextmanager
def standing_world(more: dict[str, str], base: Path | None = None) -> Iterator[World]:
    """Two nodes, both up. On a RAM disk, where a flush costs nothing."""
    place = MEMORY if MEMORY.is_dir() else None
    with (
        tempfile.TemporaryDirectory(dir=place, prefix="breezeblock-") as name,
        pytest.MonkeyPatch.context() as patch,
    ):
        folder = Path(name)
        if base is not None:
            shutil.copy(base, folder / "breezeblock.db")
        world = World(folder, environment(folder) | more)
        seams(world, patch)
        for host in ("node1", "node2"):
            world.add_node(host)
        world.tick()
        world.keep()
        patch.undo()
        yield world
        world.close()


@pytest.fixture(scope="session")
def lasting_world(migrated: Path) -> Iterator[World]:
    with standing_world({}, migrated) as world:
        yield world


@pytest.fixture(scope="session")
def lasting_postgresql_world(postgresql_server: Server) -> Iterator[World]:
    with postgresql_server.database() as url:
        more = {"BREEZEBLOCK_DATABASE__URL": url}
        db.upgrade(load(environ=more))
        with standing_world(more) as world:
            yield world


def _anew(world: World, patch: pytest.MonkeyPatch) -> World:
    seams(world, patch)
    world.reset()
    return world


@pytest.fixture
def sqlite_world(lasting_world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """An installation as if nothing had ever happened in it, on SQLite."""
    return _anew(lasting_world, monkeypatch)


@pytest.fixture
def postgresql_world(lasting_postgresql_world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """The same on PostgreSQL."""
    return _anew(lasting_postgresql_world, monkeypatch)


@pytest.fixture(params=["sqlite", "postgresql"])
def any_world(request: pytest.FixtureRequest) -> World:
    """Each of the two."""
    found: World = request.getfixturevalue(f"{request.param}_world")
    return found


@pytest.fixture
def world(sqlite_world: World) -> World:
    """The one that is used unless a module says otherwise."""
    return sqlite_world
