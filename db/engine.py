"""How connections are made: pool, time-outs, and what makes SQLite safe for many processes."""

import time
from typing import Any

from sqlalchemy import Connection, Engine, event, make_url
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import ConnectionPoolEntry

from config.settings import Settings

SQLITE_BUSY_MS = 15_000
IDLE_SECONDS = 1.0
"""A connection that was idle for longer is tried before it is used: the server may have closed it.
One in steady use is not; there the transaction as a whole is run again."""

GIVEN_BACK_SECONDS = 10
"""PostgreSQL (14 and newer) ends a connection that was idle for so long. Where there are fewer of
them than processes, those that have none would else wait for ever for those that need none."""


def engine_options(settings: Settings) -> dict[str, Any]:
    """Options for `create_engine`. A connection that the server closed is replaced unseen."""
    if make_url(settings.database.url).get_backend_name() == "sqlite":
        return {"connect_args": {"timeout": SQLITE_BUSY_MS / 1000, "check_same_thread": False}}
    return {
        "pool_size": settings.database.pool_size,
        "max_overflow": 0,
        "pool_timeout": settings.database.pool_timeout,
        "connect_args": {"connect_timeout": 5},
    }


def install_rules(engine: Engine) -> None:
    """Prepare an engine for its database; once for each engine."""
    if getattr(engine, "_breezeblock_rules", False):
        return
    engine._breezeblock_rules = True  # type: ignore[attr-defined]
    if engine.dialect.name == "sqlite":
        _install_sqlite_rules(engine)
    else:
        _install_idle_check(engine)


def _install_idle_check(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def _connect(dbapi_connection: Any, _record: ConnectionPoolEntry) -> None:
        if dbapi_connection.info.server_version >= 140000:
            dbapi_connection.execute(f"SET idle_session_timeout = {GIVEN_BACK_SECONDS * 1000}")
            dbapi_connection.commit()

    @event.listens_for(engine, "checkin")
    def _checkin(_dbapi_connection: Any, record: ConnectionPoolEntry) -> None:
        record.info["idle_since"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def _checkout(dbapi_connection: Any, record: ConnectionPoolEntry, _proxy: Any) -> None:
        idle = time.monotonic() - record.info.get("idle_since", time.monotonic())
        if idle <= IDLE_SECONDS:
            return
        try:
            engine.dialect.do_ping(dbapi_connection)
        except engine.dialect.loaded_dbapi.Error as error:
            raise DisconnectionError("the server has closed this connection") from error


def _install_sqlite_rules(engine: Engine) -> None:
    """WAL, full sync, foreign keys, and writers that take the write lock when they begin.

    A deferred transaction that reads first and writes later fails at once with "database is locked"
    when another wrote meanwhile; BEGIN IMMEDIATE waits its turn instead.
    """

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
