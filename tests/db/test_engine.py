"""Connections to PostgreSQL."""

import pytest
from sqlalchemy import text

from config.settings import load
from db import database_app, db, engine
from tests.postgresql import Server
from tests.processes import wait_for

ANSWER = text("SELECT 42")


def test_one_that_is_not_used_is_given_back_and_replaced_unseen(
    postgresql_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "GIVEN_BACK_SECONDS", 1)
    with postgresql_server.database() as url:
        settings = load(environ={"BREEZEBLOCK_DATABASE__URL": url})
        with database_app(settings).app_context():
            with db.engine.connect() as one, db.engine.connect() as other:
                assert one.scalar(ANSWER) == other.scalar(ANSWER) == 42
                assert sessions(postgresql_server, url) == 2
            wait_for(lambda: sessions(postgresql_server, url) == 0, 10)
            with db.engine.connect() as again:
                assert again.scalar(ANSWER) == 42
            db.engine.dispose()


def sessions(server: Server, url: str) -> int:
    """Connections to a database."""
    query = b"SELECT count(*) FROM pg_stat_activity WHERE datname = %s"
    with server.connect() as connection:
        row = connection.execute(query, [url.rpartition("/")[2]]).fetchone()
    assert row
    return int(row[0])
