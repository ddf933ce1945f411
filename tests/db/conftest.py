"""A database with the schema of the migrations, of each kind."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy.orm import Session

import db
from config.settings import load
from db import database_app, transactions
from db.models import Base, Clock, Flow, VolumeType, new_id
from tests.postgresql import Server


class Database:
    """One database, and transactions on it; threads may share it."""

    def __init__(self, environ: dict[str, str]) -> None:
        settings = load(environ={f"BREEZEBLOCK_{key}": value for key, value in environ.items()})
        db.upgrade(settings)
        self.flask: Flask = database_app(settings)

    @contextmanager
    def writing(self) -> Iterator[Session]:
        with self.flask.app_context(), transactions.writing() as tx:
            yield tx

    def flow(self, flow_id: str = "") -> str:
        """A running flow, for what refers to one; returns its id."""
        row = {"kind": "volume.create", "project_id": "p", "user_id": "u", "request_id": "r"}
        flow = Flow(id=flow_id or new_id(), resource_id=new_id(), queue="control", **row)
        with self.writing() as tx:
            tx.add(flow)
        return flow.id

    def empty(self) -> None:
        """Delete every row but those that the migrations bring."""
        with self.writing() as tx:
            for table in reversed(Base.metadata.sorted_tables):
                if table.name not in (Clock.__tablename__, VolumeType.__tablename__):
                    tx.execute(table.delete())


@pytest.fixture(scope="session")
def sqlite_database(tmp_path_factory: pytest.TempPathFactory) -> Database:
    folder: Path = tmp_path_factory.mktemp("database")
    return Database({"PATHS__DATA": str(folder)})


@pytest.fixture(scope="session")
def postgresql_database(postgresql_server: Server) -> Iterator[Database]:
    with postgresql_server.database() as url:
        yield Database({"DATABASE__URL": url, "DATABASE__POOL_SIZE": "10"})


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Database:
    """An empty database of each kind."""
    found: Database = request.getfixturevalue(f"{request.param}_database")
    found.empty()
    return found
