"""`breezeblock up` for real: from nothing to a volume, through deaths, to nothing left running."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

READY_SECONDS = 60  # fifteen are promised, on a machine that does nothing else
pytestmark = pytest.mark.slow


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        servers = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [server.getsockname()[1] for server in servers]


def wait_for(what: Callable[[], Any], seconds: float = 20.0) -> Any:
    until = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < until, f"not within {seconds} s: {what}"
        time.sleep(0.05)
    return found


class Stack:
    """A running `breezeblock up` in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.api, self.flower, broker = free_ports(3)
        self.said = folder / "said"
        env = {
            **os.environ,
            "BREEZEBLOCK_API__PORT": str(self.api),
            "BREEZEBLOCK_FLOWER__PORT": str(self.flower),
            "BREEZEBLOCK_BROKER__URL": f"redis://127.0.0.1:{broker}/0",
            "BREEZEBLOCK_BROKER__EMBEDDED": "true",
            "BREEZEBLOCK_NODE__REPORT_INTERVAL": "0.5",
        }
        with self.said.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "cli.main", "up"],
                cwd=folder,
                env=env,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        wait_for(lambda: "\nReady after" in self.text() or self.process.poll(), READY_SECONDS)
        assert self.process.poll() is None, self.text()

    def text(self) -> str:
        return self.said.read_text()

    def children(self) -> dict[str, psutil.Process]:
        """name → process of each part."""
        found = {}
        for process in psutil.Process(self.process.pid).children():
            # one that has just died, or does not run its own program yet, has no name
            with contextlib.suppress(psutil.Error, IndexError):
                found[self._name(process)] = process
        return found

    @staticmethod
    def _name(process: psutil.Process) -> str:
        words = process.cmdline()
        if process.name() == "valkey-server":
            return "broker"
        if "--name" in words:
            return words[words.index("--name") + 1]
        if "node" in words:
            return Path(words[words.index("--config") + 1]).stem
        return words[-1]

    def everything(self) -> list[psutil.Process]:
        up = psutil.Process(self.process.pid)
        return [up, *up.children(recursive=True)]

    def call(self, method: str, path: str, body: Any = None) -> Any:
        answer = requests.request(
            method, f"http://127.0.0.1:{self.api}/v3/p{path}", json=body, timeout=30
        )
        assert answer.ok, answer.text
        return answer.json() if answer.content else None

    def seen_by_flower(self) -> set[str]:
        """The names of the tasks that have succeeded, as Flower's table has them."""
        answer = requests.post(
            f"http://127.0.0.1:{self.flower}/tasks/datatable",
            params={
                "draw": "1",
                "start": "0",
                "length": "1000",
                "search[value]": "",
                "order[0][column]": "0",
                "order[0][dir]": "asc",
                "columns[0][data]": "name",
            },
            timeout=30,
        )
        return {row["name"] for row in answer.json()["data"] if row["state"] == "SUCCESS"}

    def create(self, name: str) -> str:
        made = self.call("POST", "/volumes", {"volume": {"size": 1, "name": name}})
        return str(made["volume"]["id"])

    def is_available(self, volume: str) -> bool:
        return bool(self.call("GET", f"/volumes/{volume}")["volume"]["status"] == "available")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        self.process.send_signal(how)
        self.process.wait(60)


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    stack = Stack(tmp_path)
    yield stack
    if stack.process.poll() is None:
        stack.stop(signal.SIGKILL)


def none_left(processes: list[psutil.Process]) -> bool:
    return not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in processes)


def test_a_volume_outlives_a_stop_and_a_start(stack: Stack, tmp_path: Path) -> None:
    volume = stack.create("first")
    wait_for(lambda: stack.is_available(volume))
    (made,) = tmp_path.glob(f"var/node[12]/volumes/volume-{volume}")
    assert made.stat().st_size == 1 << 30
    everything = stack.everything()
    assert len(everything) > 10
    stack.stop()
    assert stack.process.returncode == 0
    said = stack.text()
    order = [line.split()[1].rstrip(",") for line in said.splitlines() if " stopping " in line]
    assert order == ["api", "beat", "control", "node1", "broker"]
    assert "killed" not in said
    assert none_left(everything)

    again = Stack(tmp_path)
    try:
        assert again.call("GET", f"/volumes/{volume}")["volume"]["name"] == "first"
        again.call("DELETE", f"/volumes/{volume}")
        wait_for(lambda: not made.exists())
    finally:
        again.stop()


def test_flower_shows_the_seven_tasks_of_a_create(stack: Stack) -> None:
    # a task on each queue: now every worker has been asked for its events
    wait_for(lambda: {"node.ping", "node.report", "sweep.probe"} <= stack.seen_by_flower())
    volume = stack.create("seen")
    wait_for(lambda: stack.is_available(volume))
    steps = "extract quota_reserve db_entry quota_commit schedule create finish"
    seven = {f"volume.create.{step}" for step in steps.split()}
    wait_for(lambda: seven <= stack.seen_by_flower())


def test_every_part_that_is_killed_comes_back(stack: Stack) -> None:
    before = stack.children()
    assert set(before) >= {"api", "control", "scheduler", "events", "node1", "node2", "beat"}
    killed = {name: before[name] for name in ("broker", "control", "node1", "api")}
    for process in killed.values():
        process.kill()

    def all_are_new() -> bool:
        now = stack.children()
        return all(name in now and now[name] != old for name, old in killed.items())

    wait_for(all_are_new)
    assert stack.text().count("was killed by SIGKILL; starting it again in") == len(killed)
    wait_for(lambda: stack.text().count("ready api") == 2)
    wait_for(lambda: stack.text().count("ready control") == 2)
    volume = stack.create("after")
    wait_for(lambda: stack.is_available(volume), 40)


def test_nothing_outlives_a_kill_of_the_stack(stack: Stack) -> None:
    everything = stack.everything()
    stack.stop(signal.SIGKILL)
    wait_for(lambda: none_left(everything))


def test_a_second_one_beside_it_is_refused(stack: Stack, tmp_path: Path) -> None:
    second = subprocess.run(
        [sys.executable, "-P", "-m", "cli.main", "up"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert second.returncode == 1
    assert f"process {stack.process.pid}" in second.stderr
