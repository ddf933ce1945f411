"""How connections are made: pool, time-outs, and what makes SQLite safe for many processes."""

from typing import Any

from sqlalchemy import Connection, Engine, event, make_url
from sqlalchemy.pool import ConnectionPoolEntry

from config.settings import Settings

SQLITE_BUSY_MS = 15_000


def engine_options(settings: Settings) -> dict[str, Any]:
    """Options for `create_engine`. A connection that the server closed is replaced unseen."""
    if make_url(settings.database.url).get_backend_name() == "sqlite":
        return {"connect_args": {"timeout": SQLITE_BUSY_MS / 1000, "check_same_thread": False}}
    return {
        "pool_size": settings.database.pool_size,
        "max_overflow": 0,
        "pool_timeout": settings.database.pool_timeout,
        "pool_pre_ping": True,
        "connect_args": {"connect_timeout": 5},
    }


def install_sqlite_rules(engine: Engine) -> None:
    """WAL, full sync, foreign keys, and writers that take the write lock when they begin.

    A deferred transaction that reads first and writes later fails at once with "database is locked"
    when another wrote meanwhile; BEGIN IMMEDIATE waits its turn instead. Does nothing for others.
    """
    if engine.dialect.name != "sqlite" or getattr(engine, "_breezeblock_rules", False):
        return
    engine._breezeblock_rules = True  # type: ignore[attr-defined]

    @event.listens_for(engine, "connect")
    def _connect(dbapi_connection: Any, _record: ConnectionPoolEntry) -> None:
        dbapi_connection.isolation_level = None
        cursor = dbapi_connection.cursor()
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            f"busy_timeout={SQLITE_BUSY_MS}",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        read_only = connection.get_execution_options().get("read_only")
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")
