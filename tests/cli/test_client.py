"""How the commands reach the API, and what they say when they do not."""

import socket
import threading

import pytest

from tests.cli.conftest import Operator


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("words", [("status",), ("node", "list"), ("flow", "list")])
def test_an_api_that_is_away_is_named_with_what_to_do(words: tuple[str, ...]) -> None:
    url = f"http://127.0.0.1:{closed_port()}"
    result = Operator(url).run(*words)
    assert result.exit_code == 1
    assert f"API not reachable at {url}" in result.output
    assert "is `breezeblock up` running?" in result.output
    assert "Traceback" not in result.output


def test_the_url_option_wins_over_the_environment(operator: Operator) -> None:
    other = Operator(f"http://127.0.0.1:{closed_port()}")
    assert other.text("node", "list", "--url", operator.url).startswith("No node has reported")


def test_a_url_without_scheme_is_refused() -> None:
    result = Operator("127.0.0.1:8776").run("status")
    assert result.exit_code == 2
    assert "http://" in result.output


def test_something_else_at_the_address_is_no_api() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")

        thread = threading.Thread(target=greet)
        thread.start()
        result = Operator(f"http://127.0.0.1:{server.getsockname()[1]}").run("flow", "list")
        thread.join()
    assert result.exit_code == 1
    assert "is it the Breezeblock API?" in result.output


def test_credentials_are_asked_for_and_used(guarded: Operator) -> None:
    result = guarded.run("flow", "list")
    assert result.exit_code == 1
    assert "--user and --password" in result.output
    user = ("--user", "ann", "--password", "ann-secret")
    assert "No flow matches" in guarded.text("flow", "list", *user)
    assert "No flow matches" in guarded.text("flow", "list", *user, "--project", "demo")
    result = guarded.run("node", "list", *user)
    assert result.exit_code == 1
    assert "needs the role admin" in result.output
    root = ("--user", "root", "--password", "root-secret")
    assert guarded.text("node", "list", *root).startswith("No node has reported")
