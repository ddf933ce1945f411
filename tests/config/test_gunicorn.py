"""A server that is asked to stop: who connects meanwhile is refused or served, not cut off."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from tests.processes import Running, free_ports, wait_for

SLOW_SECONDS = 2.0
SERVER = f"""
import time
from config.gunicorn import Server
from config.settings import load

def app(environ, start_response):
    if environ["PATH_INFO"] == "/slow":
        time.sleep({SLOW_SECONDS})
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]

Server(load(), lambda _settings: app).run()
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[Running, str]]:
    """A server of something that is slow if asked to be, and where it is."""
    (port,) = free_ports(1)
    env = {"BREEZEBLOCK_API__PORT": str(port), "BREEZEBLOCK_PATHS__DATA": str(tmp_path)}
    running = Running(
        [sys.executable, "-c", SERVER],
        tmp_path / "log",
        {**os.environ, **env},
        cwd=Path(__file__).parents[2],
    )
    url = f"http://127.0.0.1:{port}"
    wait_for(lambda: reaches(url) == "ok", 30, "the server")
    yield running, url
    running.end()


def reaches(url: str) -> str:
    """What comes of one request on a connection of its own."""
    try:
        return requests.get(url, timeout=10).text
    except requests.RequestException as error:
        return "refused" if "refused" in str(error) else repr(error)


def test_nobody_is_cut_off_while_it_finishes_what_it_has(server: tuple[Running, str]) -> None:
    running, url = server
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(reaches, f"{url}/slow")
        time.sleep(SLOW_SECONDS / 4)
        running.send(signal.SIGTERM)
        seen = []
        while running.alive:
            seen.append(reaches(url))
            time.sleep(0.01)
        assert slow.result() == "ok"
    assert set(seen) <= {"ok", "refused"}
    assert seen[-1] == "refused"


def test_a_connection_that_is_kept_is_served_once_more(server: tuple[Running, str]) -> None:
    running, url = server
    with requests.Session() as session:
        assert session.get(url, timeout=10).text == "ok"
        running.send(signal.SIGTERM)
        time.sleep(0.5)
        answer = session.get(url, timeout=10)
    assert answer.text == "ok"
    assert answer.headers["Connection"] == "close"
