"""Where the fake driver keeps what it has made: in memory, or in a file that outlives it.

Objects may have any name: those that are not ours are what could be managed.
"""

import sqlite3
import threading
import time
from abc import ABC, abstractmethod
from collections import defaultdict
from pathlib import Path


class Store(ABC):
    """Objects with a pool and a size in GiB, and connections to them.

    Every call is atomic and thread-safe.
    """

    @abstractmethod
    def get(self, name: str) -> int | None:
        """The size of the object, None if it is not there."""

    @abstractmethod
    def put(self, name: str, pool: str, size_gib: int, room_gib: float | None) -> bool:
        """Make the object, or give it this size.

        False, and no change, if the pool would then hold more than `room_gib` (None: no limit).
        An object that is there stays in the pool it is in.
        """

    @abstractmethod
    def drop(self, name: str) -> None:
        """Remove the object if it is there."""

    @abstractmethod
    def rename(self, name: str, new: str) -> bool:
        """Give the object a new name; False, and no change, if it is not there or `new` is."""

    @abstractmethod
    def used_gib(self, pool: str) -> int:
        """The sum of the sizes in the pool."""

    @abstractmethod
    def items(self) -> list[tuple[str, int]]:
        """Name and size of every object."""

    @abstractmethod
    def connect(self, connection: str, name: str) -> None:
        """Keep that there is a connection of this name to the object."""

    @abstractmethod
    def disconnect(self, connection: str) -> None:
        """Forget the connection if it is there."""

    @abstractmethod
    def connections(self) -> dict[str, str]:
        """The object of each connection."""


class MemoryStore(Store):
    """For one process; gone with it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._objects: dict[str, tuple[str, int]] = {}
        self._used: defaultdict[str, int] = defaultdict(int)
        self._connections: dict[str, str] = {}

    def get(self, name: str) -> int | None:
        found = self._objects.get(name)
        return None if found is None else found[1]

    def put(self, name: str, pool: str, size_gib: int, room_gib: float | None) -> bool:
        with self._lock:
            pool, before = self._objects.get(name, (pool, 0))
            used = self._used[pool] - before + size_gib
            if room_gib is not None and used > room_gib:
                return False
            self._objects[name] = (pool, size_gib)
            self._used[pool] = used
            return True

    def drop(self, name: str) -> None:
        with self._lock:
            pool, size = self._objects.pop(name, ("", 0))
            if pool:
                self._used[pool] -= size

    def rename(self, name: str, new: str) -> bool:
        with self._lock:
            if name not in self._objects or new in self._objects:
                return False
            self._objects[new] = self._objects.pop(name)
            return True

    def used_gib(self, pool: str) -> int:
        with self._lock:
            return self._used[pool]

    def items(self) -> list[tuple[str, int]]:
        with self._lock:
            return [(name, size) for name, (_, size) in self._objects.items()]

    def connect(self, connection: str, name: str) -> None:
        with self._lock:
            self._connections[connection] = name

    def disconnect(self, connection: str) -> None:
        with self._lock:
            self._connections.pop(connection, None)

    def connections(self) -> dict[str, str]:
        with self._lock:
            return dict(self._connections)


_ATTEMPTS = 250
_TABLES = """
CREATE TABLE IF NOT EXISTS object (
    name TEXT PRIMARY KEY, pool TEXT NOT NULL, size_gib INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS object_pool ON object (pool, size_gib);
CREATE TABLE IF NOT EXISTS connection (
    name TEXT PRIMARY KEY, object TEXT NOT NULL
) WITHOUT ROWID;
"""


class FileStore(Store):
    """For any number of processes; an SQLite file. Raises sqlite3.Error and OSError."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._base = sqlite3.connect(
            path, timeout=30, isolation_level=None, check_same_thread=False
        )
        # WAL without a flush at each commit survives the process, which is what a fake needs.
        self._use_wal()
        self._base.execute("PRAGMA synchronous = OFF")
        self._base.executescript(_TABLES)

    def _use_wal(self) -> None:
        # Unlike every other statement this one does not wait for a process that does the same.
        for attempt in reversed(range(_ATTEMPTS)):
            try:
                self._base.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError:
                if not attempt:
                    raise
                time.sleep(0.02)
            else:
                return

    def get(self, name: str) -> int | None:
        row = self._one("SELECT size_gib FROM object WHERE name = ?", name)
        return None if row is None else int(row[0])

    def put(self, name: str, pool: str, size_gib: int, room_gib: float | None) -> bool:
        room = -1 if room_gib is None else room_gib
        with self._lock:
            # One statement, so that several processes cannot fill the same room twice.
            done = self._base.execute(
                "INSERT INTO object (name, pool, size_gib)"
                " SELECT :name, place.pool, :size FROM (SELECT coalesce("
                "   (SELECT pool FROM object WHERE name = :name), :pool) AS pool) AS place"
                " WHERE :room < 0 OR :size + coalesce((SELECT sum(size_gib) FROM object AS other"
                "   WHERE other.pool = place.pool AND other.name <> :name), 0) <= :room"
                " ON CONFLICT (name) DO UPDATE SET size_gib = excluded.size_gib",
                {"name": name, "pool": pool, "size": size_gib, "room": room},
            )
            return done.rowcount == 1

    def drop(self, name: str) -> None:
        with self._lock:
            self._base.execute("DELETE FROM object WHERE name = ?", (name,))

    def rename(self, name: str, new: str) -> bool:
        with self._lock:
            done = self._base.execute(
                "UPDATE OR IGNORE object SET name = ? WHERE name = ?", (new, name)
            )
            return done.rowcount == 1

    def used_gib(self, pool: str) -> int:
        row = self._one("SELECT coalesce(sum(size_gib), 0) FROM object WHERE pool = ?", pool)
        return 0 if row is None else int(row[0])

    def items(self) -> list[tuple[str, int]]:
        with self._lock:
            return self._base.execute("SELECT name, size_gib FROM object").fetchall()

    def connect(self, connection: str, name: str) -> None:
        with self._lock:
            self._base.execute(
                "INSERT OR REPLACE INTO connection VALUES (?, ?)", (connection, name)
            )

    def disconnect(self, connection: str) -> None:
        with self._lock:
            self._base.execute("DELETE FROM connection WHERE name = ?", (connection,))

    def connections(self) -> dict[str, str]:
        with self._lock:
            return dict(self._base.execute("SELECT name, object FROM connection").fetchall())

    def _one(self, query: str, value: str) -> tuple | None:
        with self._lock:
            row: tuple | None = self._base.execute(query, (value,)).fetchone()
            return row
