"""Real processes for tests: started on free ports, ended with everything below them."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import psutil

from config.process import die_with_parent

T = TypeVar("T")


def free_ports(count: int) -> list[int]:
    """TCP ports on loopback that nothing listens on, all different."""
    with contextlib.ExitStack() as held:
        servers = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [server.getsockname()[1] for server in servers]


def wait_for(what: Callable[[], T], seconds: float = 30.0, doing: str = "") -> T:
    """Call `what` until it gives something true, and return that. Fails after `seconds`."""
    until = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < until, f"not within {seconds} s: {doing or what}"
        time.sleep(0.05)
    return found


class Running:
    """One process in a process group of its own, with its output in `log`.

    The kernel ends it if the tests are killed.
    """

    def __init__(
        self, argv: Sequence[str], log: Path, env: Mapping[str, str] | None = None, **options: Any
    ) -> None:
        tests = os.getpid()
        self.log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                argv,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                process_group=0,
                preexec_fn=lambda: die_with_parent(tests),  # noqa: PLW1509 - before its first thread
                **options,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def below(self) -> list[psutil.Process]:
        """Every process that it has started, and those of them."""
        return psutil.Process(self.pid).children(recursive=True)

    def send(self, how: signal.Signals) -> None:
        """Send a signal to this process alone."""
        self.process.send_signal(how)

    def kill(self) -> None:
        """End it as a crash does, and wait until it and everything below it is gone."""
        below = self.below() if self.alive else []
        self.process.kill()
        self.process.wait(30)
        psutil.wait_procs(below, 30)

    def stop(self, seconds: float = 30.0) -> None:
        """End it softly; what has not gone after `seconds` is killed with its whole group."""
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        self.end()

    def end(self) -> None:
        """Kill the whole group, whatever state it is in."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait(30)
