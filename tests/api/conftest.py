"""The real application on an SQLite database of its own."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bcrypt
import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.datastructures import Authorization
from werkzeug.test import TestResponse

from api.app import create_app
from config.settings import load
from db import database_app, db
from db.models import DEFAULT_TYPE_NAME, Base, Volume, VolumeType, new_id
from db.transactions import writing

PROJECT = "demo"


@dataclass(frozen=True, slots=True)
class Caller:
    """Sends requests as one user: `caller.get("/volumes")` asks below /v3/{project}."""

    client: FlaskClient
    project: str
    headers: dict[str, str]

    def request(self, method: str, path: str, minor: int = 71, **options: Any) -> TestResponse:
        headers = {"OpenStack-API-Version": f"volume 3.{minor}"} | self.headers
        headers |= options.pop("headers", {})
        url = f"/v3/{self.project}{path}"
        return self.client.open(url, method=method, headers=headers, **options)

    def get(self, path: str, minor: int = 71, **options: Any) -> TestResponse:
        return self.request("GET", path, minor, **options)

    def post(self, path: str, minor: int = 71, **options: Any) -> TestResponse:
        return self.request("POST", path, minor, **options)

    def put(self, path: str, minor: int = 71, **options: Any) -> TestResponse:
        return self.request("PUT", path, minor, **options)

    def delete(self, path: str, minor: int = 71, **options: Any) -> TestResponse:
        return self.request("DELETE", path, minor, **options)


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with all tables and the default type, to be copied."""
    folder = tmp_path_factory.mktemp("database")
    app = database_app(load(environ={"BREEZEBLOCK_PATHS__DATA": str(folder)}))
    with app.app_context():
        Base.metadata.create_all(db.engine)
        with writing() as tx:
            tx.add(VolumeType(name=DEFAULT_TYPE_NAME))
        db.session.remove()
        db.engine.dispose()
    return folder / "breezeblock.db"


@pytest.fixture
def environ(tmp_path: Path, empty_database: Path) -> dict[str, str]:
    """Settings of an application whose database is a copy of the empty one."""
    shutil.copy(empty_database, tmp_path / "breezeblock.db")
    return {
        "BREEZEBLOCK_PATHS__DATA": str(tmp_path),
        "BREEZEBLOCK_BROKER__URL": "memory://",
    }


def served(environ: dict[str, str]) -> Iterator[Flask]:
    """The application, with its context entered so that tests reach the database too."""
    app = create_app(load(environ=environ))
    with app.app_context():
        yield app
        db.session.remove()
        db.engine.dispose()


@pytest.fixture
def app(environ: dict[str, str]) -> Iterator[Flask]:
    yield from served(environ)


@pytest.fixture
def admin(app: Flask) -> Caller:
    """Everybody is an administrator without authentication."""
    return Caller(app.test_client(), PROJECT, {"X-Auth-Token": f"alice:{PROJECT}"})


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    def line(user: str, project: str, roles: str) -> str:
        hashed = bcrypt.hashpw(f"{user}-secret".encode(), bcrypt.gensalt(4)).decode()
        return f"{user}:{hashed}:{project}:{roles}\n"

    file = tmp_path / "passwords"
    file.write_text(
        "# users of the tests\n"
        + line("root", "ops", "admin,member")
        + line("ann", PROJECT, "member,reader")
        + line("bob", "other", "member,reader")
    )
    return file


@pytest.fixture
def basic_app(environ: dict[str, str], password_file: Path) -> Iterator[Flask]:
    """The application with HTTP basic authentication."""
    environ["BREEZEBLOCK_API__AUTH"] = "http_basic"
    environ["BREEZEBLOCK_API__PASSWORD_FILE"] = str(password_file)
    yield from served(environ)


def basic(app: Flask, user: str, project: str, password: str | None = None) -> Caller:
    """A caller that authenticates as `user` against `basic_app`."""
    password = f"{user}-secret" if password is None else password
    header = Authorization("basic", {"username": user, "password": password}).to_header()
    return Caller(app.test_client(), project, {"Authorization": header})


def volume(**columns: Any) -> str:
    """Insert an admitted, available volume; returns its id."""
    values = {
        "id": new_id(),
        "project_id": PROJECT,
        "user_id": "alice",
        "size": 1,
        "status": "available",
        "visible": True,
    } | columns
    with writing() as tx:
        tx.add(Volume(**values))
    return str(values["id"])


def fault(response: TestResponse, status: int, name: str) -> str:
    """Check that a response is that fault; returns its message."""
    assert response.status_code == status, response.text
    assert response.json is not None
    assert list(response.json) == [name]
    assert response.json[name]["code"] == status
    return str(response.json[name]["message"])
