"""A private PostgreSQL server from the system's binaries, for the tests of one session."""

import contextlib
import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.processes import Running, free_ports, wait_for

_COUNTER = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Server:
    """A server on loopback; each test makes databases of its own there."""

    port: int
    process: Running = field(repr=False)

    def url(self, database: str) -> str:
        """As the setting database.url wants it."""
        return f"postgresql://breezeblock@127.0.0.1:{self.port}/{database}"

    def connect(self, database: str = "postgres") -> "psycopg.Connection[Any]":
        """A connection in which each statement is a transaction."""
        return psycopg.connect(self.url(database), autocommit=True, connect_timeout=5)

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """A new empty database; gives its URL, and drops it with whoever is connected."""
        name = f"test_{next(_COUNTER)}"
        with self.connect() as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        try:
            yield self.url(name)
        finally:
            with self.connect() as connection:
                connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[Server]:
    """A server that keeps its files in a folder of its own, and skips where there is none."""
    binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    found = binaries[-1] if binaries else shutil.which("postgres")
    if found is None:
        pytest.skip("needs PostgreSQL (apt: postgresql)")
    # pytest's own folders are closed to the account that the server runs under
    folder = Path(tempfile.mkdtemp(prefix="breezeblock-postgresql-"))
    try:
        with _serving(Path(found).parent, folder) as server:
            yield server
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def _serving(binaries: Path, folder: Path) -> Iterator[Server]:
    user = _unprivileged(folder)
    data, (port,) = folder / "data", free_ports(1)
    words = [str(binaries / "initdb"), "-D", str(data), "-U", "breezeblock", "-A", "trust"]
    words += ["-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]
    made = subprocess.run(
        words, cwd=folder, capture_output=True, text=True, timeout=120, check=False, **user
    )
    assert made.returncode == 0, made.stderr
    options = {
        "listen_addresses": "127.0.0.1",
        "port": port,
        "unix_socket_directories": folder,
        "max_connections": 300,
        # Processes are killed here, but never the kernel: what was written is still there.
        "fsync": "off",
    }
    settings = [word for key, value in options.items() for word in ("-c", f"{key}={value}")]
    command = [str(binaries / "postgres"), "-D", str(data), *settings]
    running = Running(command, folder / "log", cwd=folder, **user)
    server = Server(port, running)
    try:
        wait_for(lambda: _answers(server), 60, "PostgreSQL")
        yield server
    finally:
        running.stop()


def _answers(server: Server) -> bool:
    assert server.process.alive, server.process.log.read_text()
    with contextlib.suppress(psycopg.OperationalError):
        server.connect().close()
        return True
    return False


def _unprivileged(folder: Path) -> dict[str, Any]:
    """What makes a process run as an account that may serve: PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            account = pwd.getpwnam(name)
            os.chown(folder, account.pw_uid, account.pw_gid)
            return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    pytest.skip("needs PostgreSQL (apt: postgresql)")
