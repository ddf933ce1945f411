"""Private PostgreSQL servers from the system's binaries."""

import contextlib
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.processes import Running, free_ports, wait_for

_COUNTER = itertools.count(1)


class Server:
    """A server on loopback, not started yet; each test makes databases of its own in it."""

    def __init__(self, binaries: Path, folder: Path) -> None:
        (self.port,) = free_ports(1)
        self._folder, self._user = folder, _unprivileged(folder)
        words = [str(binaries / "initdb"), "-D", str(folder / "data"), "-U", "breezeblock"]
        words += ["-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]
        subprocess.run(
            words, cwd=folder, capture_output=True, timeout=120, check=True, **self._user
        )
        options = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": folder,
            "max_connections": 300,
            # Processes are killed here, but never the kernel: what was written is still there.
            "fsync": "off",
        }
        settings = [word for key, value in options.items() for word in ("-c", f"{key}={value}")]
        self._command = [str(binaries / "postgres"), "-D", str(folder / "data"), *settings]
        self._running: Running | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        log = self._folder / "log"
        self._running = Running(self._command, log, cwd=self._folder, **self._user)
        wait_for(self._answers, 60, "PostgreSQL")

    def kill(self) -> None:
        """End it as a crash does."""
        assert self._running is not None
        self._running.kill()

    def stop(self, *, immediate: bool = False) -> None:
        """End it as its operator does: whoever is connected is thrown out.

        `immediate`: without so much as a checkpoint; the next start recovers from the log.
        """
        assert self._running is not None
        self._running.send(signal.SIGQUIT if immediate else signal.SIGINT)
        self._running.process.wait(60)

    def end(self) -> None:
        """End it, in whatever state it is."""
        if self._running is not None:
            self._running.end()

    def _answers(self) -> bool:
        assert self._running is not None
        assert self._running.alive, self._running.log.read_text()
        with contextlib.suppress(psycopg.OperationalError):
            self.connect().close()
            return True
        return False

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


@contextlib.contextmanager
def private_server() -> Iterator[Server]:
    """A server that runs, with its files in a folder of its own; skips where there is none."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    found = installed[-1] if installed else shutil.which("postgres")
    if found is None:
        pytest.skip("needs PostgreSQL (apt: postgresql)")
    # pytest's own folders are closed to the account that the server runs under
    folder = Path(tempfile.mkdtemp(prefix="breezeblock-postgresql-"))
    try:
        server = Server(Path(found).parent, folder)
        try:
            server.start()
            yield server
        finally:
            server.end()
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[Server]:
    """One that every test may use, and none may stop."""
    with private_server() as server:
        yield server


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
