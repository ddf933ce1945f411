"""Run the processes of the embedded stack: start in order, restart, stop in order.

Written here instead of using circus or honcho: honcho neither restarts a process nor knows when it
is ready, and circus starts by priority and delay, not when what a process needs answers. Both leave
children behind when they are killed. Everything below runs in one thread, because the kernel sends
a parent-death signal when the *thread* that started a process ends.
"""

import contextlib
import os
import selectors
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from config.process import die_with_parent

#: Seconds: how often a probe is asked, and after how long a part counts as steady again.
PROBE_EVERY = 0.05
STEADY_AFTER = 60.0
LONGEST_DELAY = 30.0
LARGEST_LOG = 10 << 20  # bytes; a longer log is set aside when its process starts

_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid of a datagram's sender


@dataclass(frozen=True, slots=True)
class Part:
    """One process of the stack.

    ``ready`` asks whether it serves; None: it says so itself (``config.process.notify_ready``).
    ``after`` names the parts that must be ready before it starts. Parts stop by rising ``stage``,
    each with ``stop_seconds`` to do so. A part that runs ``once`` is ready when it has succeeded.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    stage: int
    endpoint: str = ""
    ready: Callable[[], bool] | None = None
    after: frozenset[str] = frozenset()
    stop_seconds: float = 5.0
    once: bool = False


class StackError(Exception):
    """The stack cannot run. The message is one line."""


@dataclass(slots=True)
class _Child:
    part: Part
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    ready: bool = False
    deaths: int = 0
    start_at: float = 0.0
    next_probe: float = 0.0


class Listener:
    """What a supervisor tells; the base tells nobody."""

    def ready(self, part: Part, seconds: float) -> None:
        """``part`` serves, ``seconds`` after it was started."""

    def all_ready(self, seconds: float) -> None:
        """Every part serves, for the first time."""

    def died(self, part: Part, reason: str, delay: float) -> None:
        """``part`` ended by itself and will be started again in ``delay`` seconds."""

    def asked_to_stop(self, by: str) -> None:
        """The stack ends because of the signal ``by``."""

    def stopping(self, names: list[str]) -> None:
        """These are asked to stop."""

    def killed(self, part: Part, seconds: float) -> None:
        """``part`` did not stop within ``seconds`` and was killed."""

    def stopped(self) -> None:
        """Nothing of it runs any more."""


@dataclass(slots=True)
class Supervisor:
    """Keeps ``parts`` running; their output goes to ``<logs>/<name>.log``."""

    parts: Iterable[Part]
    logs: Path
    listener: Listener = field(default_factory=Listener)
    _children: dict[str, _Child] = field(default_factory=dict)
    _stops: int = 0
    _asked_by: str = ""
    _announced: bool = False

    def run(self) -> None:
        """Run until SIGINT, SIGTERM or SIGHUP; then stop everything. A second signal kills.

        Raises StackError when a part that runs once has failed.
        """
        self._children = {part.name: _Child(part) for part in self.parts}
        begun = time.monotonic()
        with _Wakeups(self._asked_to_stop) as wakeups:
            try:
                while not self._stops:
                    self._reap()
                    self._probe()
                    # after both of them, which make ready what others wait for
                    self._start(wakeups.address)
                    if not self._announced and all(c.ready for c in self._children.values()):
                        self._announced = True
                        self.listener.all_ready(time.monotonic() - begun)
                    for pid in wakeups.wait(self._pause()):
                        self._is_ready(pid)
                self.listener.asked_to_stop(self._asked_by)
            finally:
                self._stop(wakeups)
                self.listener.stopped()

    def _asked_to_stop(self, number: int, _frame: FrameType | None) -> None:
        self._stops += 1
        self._asked_by = signal.Signals(number).name

    def _start(self, notify: str) -> None:
        now = time.monotonic()
        for child in self._children.values():
            done = child.part.once and child.ready
            if child.process is not None or done or now < child.start_at:
                continue
            if all(self._children[name].ready for name in child.part.after):
                try:
                    child.process = _launch(child.part, self.logs, notify)
                except OSError as error:
                    raise StackError(f"{child.part.name}: cannot be started: {error}") from error
                child.started = now

    def _reap(self) -> None:
        for child in self._children.values():
            if child.process is None or (status := child.process.poll()) is None:
                continue
            _kill_group(child.process)  # what it may have left behind
            child.process = None
            if child.part.once and status == 0:
                self._mark_ready(child)
                continue
            reason = exit_reason(status, last_line(self.logs / f"{child.part.name}.log"))
            if child.part.once:
                raise StackError(f"{child.part.name}: {reason}")
            now = time.monotonic()
            steady = child.ready and now - child.started >= STEADY_AFTER
            child.deaths = 1 if steady else child.deaths + 1
            child.ready = False
            delay = restart_delay(child.deaths)
            child.start_at = now + delay
            self.listener.died(child.part, reason, delay)

    def _probe(self) -> None:
        now = time.monotonic()
        for child in self._children.values():
            probe = child.part.ready
            if child.process is None or child.ready or probe is None or now < child.next_probe:
                continue
            child.next_probe = now + PROBE_EVERY
            if probe():
                self._mark_ready(child)

    def _is_ready(self, pid: int) -> None:
        for child in self._children.values():
            if child.process is not None and child.process.pid == pid and not child.ready:
                self._mark_ready(child)

    def _mark_ready(self, child: _Child) -> None:
        child.ready = True
        self.listener.ready(child.part, time.monotonic() - child.started)

    def _pause(self) -> float | None:
        """Seconds until something must be looked at without being woken; None: nothing."""
        children = self._children.values()
        if any(c.process and not c.ready and c.part.ready for c in children):
            return PROBE_EVERY
        waiting = [c.start_at for c in children if c.process is None and not c.ready]
        # what waits for another part is started when that one is ready, which wakes us
        due = [at for at in waiting if at > time.monotonic()]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _stop(self, wakeups: "_Wakeups") -> None:
        for stage in sorted({child.part.stage for child in self._children.values()}):
            running = [
                child
                for child in self._children.values()
                if child.part.stage == stage and child.process is not None
            ]
            if running:
                self.listener.stopping([child.part.name for child in running])
                self._stop_together(running, wakeups)

    def _stop_together(self, running: list[_Child], wakeups: "_Wakeups") -> None:
        asked = time.monotonic()
        for child in running:
            if child.process is not None:
                child.process.terminate()
        while running:
            for child in running:
                process = child.process
                if process is None:
                    continue
                late = time.monotonic() - asked > child.part.stop_seconds or self._stops > 1
                if process.poll() is None and late:
                    _kill_group(process)
                    process.wait()
                    self.listener.killed(child.part, time.monotonic() - asked)
                if process.poll() is not None:
                    _kill_group(process)
                    child.process = None
            running = [child for child in running if child.process is not None]
            if running:
                wakeups.wait(0.1)


class _Wakeups:
    """Signals and ready datagrams, in one wait."""

    def __init__(self, on_stop: Callable[[int, FrameType | None], None]) -> None:
        self._on_stop = on_stop
        self._selector = selectors.DefaultSelector()
        self._signals, self._signal_end = socket.socketpair()
        self._notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        # an abstract name: no file to leave behind, and no limit on the length of a folder's path
        name = f"breezeblock-{os.getpid()}-{time.time_ns()}"
        self.address = f"@{name}"
        self._notices.bind(f"\0{name}")
        self._notices.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "_Wakeups":
        for end in (self._signals, self._signal_end, self._notices):
            end.setblocking(False)
        self._selector.register(self._signals, selectors.EVENT_READ)
        self._selector.register(self._notices, selectors.EVENT_READ)
        signal.set_wakeup_fd(self._signal_end.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self._before[number] = signal.signal(number, self._on_stop)
        # without a handler the signal is not delivered, and would not end the wait
        self._before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(-1)
        self._selector.close()
        for end in (self._signals, self._signal_end, self._notices):
            end.close()

    def wait(self, seconds: float | None) -> list[int]:
        """Wait at most ``seconds``; the ids of processes that said that they are ready."""
        self._selector.select(seconds)
        with contextlib.suppress(BlockingIOError):
            while self._signals.recv(512):
                pass
        ready: list[int] = []
        while True:
            try:
                text, ancillary, _, _ = self._notices.recvmsg(
                    512, socket.CMSG_SPACE(_CREDENTIALS.size)
                )
            except BlockingIOError:
                return ready
            for level, kind, data in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS) and (
                    b"READY=1" in text.split(b"\n")
                ):
                    ready.append(_CREDENTIALS.unpack(data)[0])


def restart_delay(deaths: int) -> float:
    """Seconds to wait before a start after so many deaths in a row."""
    return min(LONGEST_DELAY, 0.5 * 2.0 ** min(deaths - 1, 10))


def exit_reason(status: int, said: str = "") -> str:
    """How a process ended, in words, and the last thing that it ``said``."""
    if status < 0:
        try:
            how = f"was killed by {signal.Signals(-status).name}"
        except ValueError:
            how = f"was killed by signal {-status}"
    else:
        how = f"exited with status {status}"
    return f"{how}: {said}" if said and status > 0 else how


def last_line(log: Path) -> str:
    """The last line of a log that is not empty, shortened."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 4096))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError:
        return ""
    return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "")


def _launch(part: Part, logs: Path, notify: str) -> subprocess.Popen[bytes]:
    log = logs / f"{part.name}.log"
    if log.exists() and log.stat().st_size > LARGEST_LOG:
        log.replace(log.with_suffix(".log.1"))
    env = dict(part.env)
    if part.ready is None:
        env["NOTIFY_SOCKET"] = notify
    supervisor = os.getpid()
    with log.open("ab") as output:
        return subprocess.Popen(
            part.argv,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # a Ctrl-C in the terminal is ours to pass on, in order
            process_group=0,
            # before exec, so that there is no moment at which our death leaves it behind; safe,
            # because there is one thread
            preexec_fn=lambda: die_with_parent(supervisor),  # noqa: PLW1509
        )


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
