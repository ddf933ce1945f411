"""Whether the API says truly that it can serve."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from api.app import create_app
from config.settings import load
from tests.api.conftest import served
from tests.processes import free_ports


@pytest.fixture
def brokerless(environ: dict[str, str]) -> Iterator[Flask]:
    """The application with a broker that is not there."""
    (port,) = free_ports(1)
    environ["BREEZEBLOCK_BROKER__URL"] = f"redis://127.0.0.1:{port}/0"
    yield from served(environ)


@pytest.fixture
def mute_broker(environ: dict[str, str]) -> Iterator[Flask]:
    """The application with a broker that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        environ["BREEZEBLOCK_BROKER__URL"] = f"redis://127.0.0.1:{server.getsockname()[1]}/0"
        yield from served(environ)


@pytest.mark.parametrize("path", ["/healthcheck", "/readyz", "/livez"])
def test_all_is_well_without_authentication(basic_app: Flask, path: str) -> None:
    answer = basic_app.test_client().get(path)
    assert (answer.status_code, answer.get_json()) == (200, {"status": "ok", "reasons": {}})


def test_a_broker_that_is_away_is_named(brokerless: Flask) -> None:
    answer = brokerless.test_client().get("/healthcheck")
    assert answer.status_code == 503
    assert answer.get_json()["status"] == "unavailable"
    assert list(answer.get_json()["reasons"]) == ["broker"]
    assert "127.0.0.1" not in answer.text


def test_a_broker_that_does_not_answer_is_named_in_time(mute_broker: Flask) -> None:
    client = mute_broker.test_client()
    for _ in range(2):  # the second asks while the first question still hangs
        start = time.monotonic()
        answer = client.get("/readyz")
        assert (answer.status_code, list(answer.get_json()["reasons"])) == (503, ["broker"])
        assert time.monotonic() - start < 3


def test_a_database_that_is_away_is_named(environ: dict[str, str]) -> None:
    (port,) = free_ports(1)
    environ["BREEZEBLOCK_DATABASE__URL"] = f"postgresql://me:secret@127.0.0.1:{port}/none"
    answer = create_app(load(environ=environ)).test_client().get("/healthcheck")
    assert (answer.status_code, list(answer.get_json()["reasons"])) == (503, ["database"])
    assert "secret" not in answer.text


def test_a_database_without_its_tables_is_named(environ: dict[str, str], tmp_path: Path) -> None:
    environ["BREEZEBLOCK_DATABASE__URL"] = f"sqlite:///{tmp_path}/empty.db"
    answer = create_app(load(environ=environ)).test_client().get("/healthcheck")
    assert (answer.status_code, list(answer.get_json()["reasons"])) == (503, ["database"])


def test_a_process_lives_though_it_cannot_serve(brokerless: Flask) -> None:
    assert brokerless.test_client().get("/livez").status_code == 200
