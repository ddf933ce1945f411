"""`breezeblock up` when it cannot start: one line that names what and says what to do."""

import fcntl
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli import up
from cli.supervisor import StackError
from config.settings import load


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def environ(**more: object) -> dict[str, str]:
    return {
        "BREEZEBLOCK_API__PORT": str(free_port()),
        "BREEZEBLOCK_FLOWER__PORT": str(free_port()),
        "BREEZEBLOCK_BROKER__URL": f"redis://127.0.0.1:{free_port()}/0",
        "BREEZEBLOCK_BROKER__EMBEDDED": "true",
        **{f"BREEZEBLOCK_{key}": str(value) for key, value in more.items()},
    }


def failure(folder: Path, given: dict[str, str]) -> str:
    """What `breezeblock up` in ``folder`` says when it fails at once."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "cli.main", "up"],
        cwd=folder,
        env={**os.environ, **given},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1, done.stdout
    assert done.stderr.count("\n") == 1
    return done.stderr


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("API__PORT", ("(api)", "BREEZEBLOCK_API__PORT")),
        ("FLOWER__PORT", ("(flower)", "BREEZEBLOCK_FLOWER__PORT")),
    ],
)
def test_a_port_in_use(tmp_path: Path, taken: int, key: str, words: tuple[str, ...]) -> None:
    said = failure(tmp_path, environ(**{key: taken}))
    assert f"port {taken} of 127.0.0.1" in said
    assert all(word in said for word in words)


def test_the_brokers_port_in_use(tmp_path: Path, taken: int) -> None:
    said = failure(tmp_path, environ(BROKER__URL=f"redis://127.0.0.1:{taken}/0"))
    assert f"port {taken} of 127.0.0.1 (broker) is in use" in said
    assert "broker.url" in said


def test_a_part_that_is_left_out_needs_no_port(taken: int) -> None:
    settings = load(environ=environ(FLOWER__PORT=taken))
    up.check_ports(settings, frozenset({"flower"}))
    with pytest.raises(StackError):
        up.check_ports(settings)


def test_an_address_of_another_machine() -> None:
    settings = load(environ=environ(API__HOST="192.0.2.1", API__NOAUTH_OFF_LOOPBACK="true"))
    with pytest.raises(StackError, match=r"192\.0\.2\.1 \(api\) cannot be had"):
        up.check_ports(settings)


def test_a_broker_of_ones_own_that_is_not_there() -> None:
    port = free_port()
    settings = load(
        environ=environ(BROKER__URL=f"redis://u:hunter2@127.0.0.1:{port}/0", BROKER__EMBEDDED=False)
    )
    with pytest.raises(StackError) as caught:
        up.check_ports(settings)
    assert f"redis://u:***@127.0.0.1:{port}/0 does not answer" in str(caught.value)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("a file is in the way")
    said = failure(tmp_path, environ())
    assert f"cannot write to {tmp_path / 'var'}" in said
    assert "BREEZEBLOCK_PATHS__DATA" in said


def test_a_second_instance_on_the_same_data(tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    with (tmp_path / "var" / "lock").open("w+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write("4711\n")
        lock.flush()
        said = failure(tmp_path, environ())
    assert f"process 4711) runs on {tmp_path / 'var'}" in said


def test_a_wrong_setting(tmp_path: Path) -> None:
    assert "api.port = '99999'" in failure(tmp_path, environ(API__PORT=99999))


def test_the_commands_to_try_are_for_what_runs() -> None:
    plain = "\n".join(up.endpoints(load(environ={}), {"api", "flower"}))
    assert "http://127.0.0.1:8776/v3 --os-auth-type noauth" in plain
    assert "http://127.0.0.1:5555" in plain
    assert "--url" not in plain
    given = environ(
        API__PORT=18000, API__HOST="::1", API__AUTH="http_basic", API__PASSWORD_FILE="u"
    )
    other = "\n".join(up.endpoints(load(environ=given), {"api"}))
    assert "http://<user>:<password>@[::1]:18000/v3 --os-auth-type noauth" in other
    assert "breezeblock status --url http://[::1]:18000" in other
    assert "Flower" not in other
    assert "cinder" not in "\n".join(up.endpoints(load(environ={}), {"node1"}))
