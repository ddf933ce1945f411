"""`breezeblock up` as a stranger uses it, with the real `cinder` command."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.postgresql import Server
from tests.processes import Running, free_ports, wait_for

CINDER = Path(sys.executable).with_name("cinder")
SECRET = "BREEZEBLOCK_DATABASE__URL"


class Up:
    """`breezeblock up` in a folder, on ports of its own."""

    def __init__(self, folder: Path, **settings: str) -> None:
        api, flower, broker = free_ports(3)
        self.endpoint = f"http://127.0.0.1:{api}/v3"
        env = {key: v for key, v in os.environ.items() if not key.startswith("BREEZEBLOCK_")}
        env |= {
            "BREEZEBLOCK_API__PORT": str(api),
            "BREEZEBLOCK_FLOWER__PORT": str(flower),
            "BREEZEBLOCK_BROKER__URL": f"redis://127.0.0.1:{broker}/0",
            "BREEZEBLOCK_BROKER__EMBEDDED": "true",
            "BREEZEBLOCK_NODE__REPORT_INTERVAL": "0.5",
            **settings,
        }
        said = folder / "said"
        said.unlink(missing_ok=True)
        command = [sys.executable, "-P", "-m", "cli.main", "up"]
        self.running = Running(command, said, env, cwd=folder)
        wait_for(lambda: "Ready after" in self.said() or not self.running.alive, 90)
        assert self.running.alive, self.said()

    def said(self) -> str:
        return self.running.log.read_text()

    def cinder(self, *words: str) -> str:
        """What `cinder <words>` prints, as the terminal tells to type it."""
        options = ["--os-endpoint", self.endpoint, "--os-auth-type", "noauth"]
        options += ["--os-project-id", "admin"]
        env = {key: value for key, value in os.environ.items() if not key.startswith("OS_")}
        done = subprocess.run(
            [CINDER, *options, *words],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=env,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def shows(self, volume: str, status: str) -> bool:
        return bool(re.search(rf"\bstatus\s+\|\s+{status}\b", self.cinder("show", volume)))

    def interrupt(self) -> None:
        """Ctrl-C; nothing may be left of it."""
        everything = self.running.below()
        self.running.send(signal.SIGINT)
        assert self.running.process.wait(60) == 0
        gone, left = psutil.wait_procs(everything, 5)
        assert not left
        assert len(gone) >= 9


@pytest.fixture
def started() -> Iterator[list[Up]]:
    """Those in the list are ended, whatever became of the test."""
    ups: list[Up] = []
    yield ups
    for up in ups:
        up.running.end()


def test_a_volume_by_the_cinder_command_outlives_a_ctrl_c(
    tmp_path: Path, started: list[Up]
) -> None:
    first = Up(tmp_path)
    started.append(first)
    wait_for(lambda: first.cinder("get-pools").count("#") == 2, doing="two pools")
    made = first.cinder("create", "1", "--name", "first")
    (volume,) = re.findall(r"\bid\s+\|\s+([0-9a-f-]{36})", made)
    wait_for(lambda: first.shows(volume, "available"))
    (file,) = tmp_path.glob(f"var/node[12]/volumes/volume-{volume}")
    assert file.stat().st_size == 1 << 30
    first.interrupt()

    second = Up(tmp_path)
    started.append(second)
    assert "first" in second.cinder("list")
    wait_for(lambda: second.cinder("service-list").count(" up ") >= 3)
    second.cinder("extend", "first", "2")
    wait_for(lambda: second.shows("first", "available") and file.stat().st_size == 2 << 30)
    second.cinder("delete", "first")
    wait_for(lambda: not file.exists())
    second.interrupt()


def test_no_node_of_it_is_told_of_the_database(
    tmp_path: Path, started: list[Up], postgresql_server: Server
) -> None:
    """Not by its environment, its command line, or the settings that are written for it."""
    with postgresql_server.database() as url:
        up = Up(tmp_path, **{SECRET: url})
        started.append(up)
        nodes = []
        for process in up.running.below():
            with suppress(psutil.NoSuchProcess):
                words = process.cmdline()
                if "worker" in words and words[-1] == "node":
                    nodes.append(process)
                    assert SECRET not in process.environ()
                    assert url not in " ".join([*words, *process.environ().values()])
        assert len(nodes) == 2
        for name in ("node1", "node2"):
            assert "postgresql" not in (tmp_path / "var" / f"{name}.toml").read_text()
        up.interrupt()
