"""The supervisor, with real processes."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from cli.supervisor import (
    LONGEST_DELAY,
    Listener,
    Part,
    StackError,
    Supervisor,
    exit_reason,
    last_line,
    restart_delay,
)

READY = "from config.process import notify_ready; notify_ready();"
SLEEP = "import time; time.sleep(60)"


class Record(Listener):
    """Notes what happens, and calls what a test put under that event."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []
        self.reasons: list[str] = []
        self.then: dict[tuple[str, str], Callable[[], None]] = {}

    def _note(self, kind: str, name: str) -> None:
        self.events.append((kind, name))
        if action := self.then.pop((kind, name), None):
            action()

    def ready(self, part: Part, seconds: float) -> None:
        self._note("ready", part.name)

    def all_ready(self, seconds: float) -> None:
        self._note("ready", "*")

    def died(self, part: Part, reason: str, delay: float) -> None:
        self.reasons.append(reason)
        self._note("died", part.name)

    def stopping(self, names: list[str]) -> None:
        self._note("stopping", ",".join(names))

    def killed(self, part: Part, seconds: float) -> None:
        self._note("killed", part.name)


def part(name: str, code: str, stage: int = 0, **more: object) -> Part:
    argv = (sys.executable, "-c", code)
    return Part(name, argv, dict(os.environ), stage, **more)  # type: ignore[arg-type]


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture
def record() -> Record:
    record = Record()
    record.then["ready", "*"] = interrupt
    return record


def children() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def test_starts_by_need_and_stops_by_stage(tmp_path: Path, record: Record) -> None:
    parts = [
        part("door", READY + SLEEP, 0, after=frozenset({"floor", "wall"})),
        part("wall", READY + SLEEP, 1, after=frozenset({"floor"})),
        part("floor", READY + SLEEP, 2),
    ]
    Supervisor(parts, tmp_path, record).run()
    assert record.events == [
        ("ready", "floor"),
        ("ready", "wall"),
        ("ready", "door"),
        ("ready", "*"),
        ("stopping", "door"),
        ("stopping", "wall"),
        ("stopping", "floor"),
    ]
    assert children() == []


def test_a_probe_decides_where_there_is_one(tmp_path: Path, record: Record) -> None:
    flag = tmp_path / "flag"
    code = f"import time; time.sleep(0.3); open({str(flag)!r}, 'w'); {READY}{SLEEP}"
    begun = time.monotonic()
    parts = [
        part("a", code, ready=flag.exists),
        part("b", READY + SLEEP, after=frozenset({"a"})),
    ]
    Supervisor(parts, tmp_path, record).run()
    assert time.monotonic() - begun > 0.3
    assert record.events[:2] == [("ready", "a"), ("ready", "b")]


def test_what_runs_once_is_ready_when_it_has_succeeded(tmp_path: Path, record: Record) -> None:
    parts = [
        part("once", "pass", once=True),
        part("after", READY + SLEEP, after=frozenset({"once"})),
    ]
    Supervisor(parts, tmp_path, record).run()
    assert record.events[:2] == [("ready", "once"), ("ready", "after")]


def test_what_runs_once_and_fails_ends_everything(tmp_path: Path, record: Record) -> None:
    parts = [
        part("other", READY + SLEEP),
        part("once", "raise SystemExit('no such table')", once=True, after=frozenset({"other"})),
    ]
    with pytest.raises(StackError, match="once: exited with status 1: no such table"):
        Supervisor(parts, tmp_path, record).run()
    assert children() == []


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    missing = Part("gone", ("/nonexistent/program",), {}, 0)
    with pytest.raises(StackError, match=r"gone: cannot be started: .*No such file"):
        Supervisor([missing], tmp_path).run()


def test_what_dies_is_started_again_and_said_so(tmp_path: Path, record: Record) -> None:
    marker = tmp_path / "marker"
    code = (
        f"import os, signal, pathlib; m = pathlib.Path({str(marker)!r}); {READY}\n"
        "if not m.exists():\n m.touch(); os.kill(os.getpid(), signal.SIGKILL)\n" + SLEEP
    )
    record.then.clear()
    record.then["died", "a"] = lambda: record.then.update({("ready", "a"): interrupt})
    Supervisor([part("a", code)], tmp_path, record).run()
    assert record.reasons == ["was killed by SIGKILL"]
    assert [event for event in record.events if event[0] in ("died", "ready")][-1] == ("ready", "a")
    assert children() == []


def test_the_reason_of_a_death_has_its_last_words(tmp_path: Path, record: Record) -> None:
    record.then = {("died", "a"): interrupt}
    Supervisor([part("a", "raise SystemExit('port in use')")], tmp_path, record).run()
    assert record.reasons == ["exited with status 1: port in use"]


def test_what_does_not_stop_is_killed_with_its_children(tmp_path: Path, record: Record) -> None:
    code = (
        "import signal, subprocess, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        f"subprocess.Popen([sys.executable, '-c', {SLEEP!r}]); {READY}{SLEEP}"
    )
    Supervisor([part("deaf", code, stop_seconds=0.2)], tmp_path, record).run()
    assert record.events[-1] == ("killed", "deaf")
    assert children() == []


def test_a_second_signal_does_not_wait(tmp_path: Path, record: Record) -> None:
    code = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {READY}{SLEEP}"
    record.then["stopping", "deaf"] = lambda: threading.Timer(0.2, interrupt).start()
    begun = time.monotonic()
    Supervisor([part("deaf", code, stop_seconds=30)], tmp_path, record).run()
    assert time.monotonic() - begun < 10
    assert record.events[-1] == ("killed", "deaf")


def test_what_a_dead_leader_leaves_is_killed(tmp_path: Path, record: Record) -> None:
    pid_file = tmp_path / "pid"
    code = (
        "import subprocess, sys, pathlib;"
        f"child = subprocess.Popen([sys.executable, '-c', {SLEEP!r}]);"
        f"pathlib.Path({str(pid_file)!r}).write_text(str(child.pid))"
    )
    record.then = {("died", "a"): interrupt}
    Supervisor([part("a", code)], tmp_path, record).run()
    assert gone(int(pid_file.read_text()))


def test_a_ready_word_of_a_stranger_counts_for_nothing(tmp_path: Path, record: Record) -> None:
    flag = tmp_path / "flag"
    # the stranger is a child of the part; only the part itself may say that it is ready
    code = (
        "import pathlib, subprocess, sys, time;"
        f"subprocess.run([sys.executable, '-c', {READY!r}]); time.sleep(0.3);"
        f"pathlib.Path({str(flag)!r}).touch(); {READY}{SLEEP}"
    )
    seen: list[bool] = []
    record.then["ready", "a"] = lambda: seen.append(flag.exists())
    Supervisor([part("a", code)], tmp_path, record).run()
    assert seen == [True]


def test_nothing_outlives_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    code = f"""
import os, sys
from pathlib import Path
from cli.supervisor import Part, Supervisor, Listener
class Tell(Listener):
    def all_ready(self, seconds): print("ready", flush=True)
argv = (sys.executable, "-c", {READY + SLEEP!r})
parts = [Part(name, argv, dict(os.environ), 0) for name in "ab"]
Supervisor(parts, Path({str(tmp_path)!r}), Tell()).run()
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as supervisor:
        assert supervisor.stdout is not None
        assert supervisor.stdout.readline() == b"ready\n"
        below = psutil.Process(supervisor.pid).children(recursive=True)
        assert len(below) == 2
        supervisor.kill()
    assert all(gone(process.pid) for process in below)


def gone(pid: int, seconds: float = 5.0) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        # in a container nobody may reap an orphan; a zombie runs no more
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.02)
    return False


def test_a_long_log_is_set_aside(
    tmp_path: Path, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.supervisor.LARGEST_LOG", 10)
    (tmp_path / "a.log").write_text("x" * 11)
    Supervisor([part("a", f"print('new', flush=True); {READY}{SLEEP}")], tmp_path, record).run()
    assert (tmp_path / "a.log.1").read_text() == "x" * 11
    assert (tmp_path / "a.log").read_text() == "new\n"


@pytest.mark.parametrize(
    ("deaths", "delay"), [(1, 0.5), (2, 1.0), (3, 2.0), (7, LONGEST_DELAY), (10**6, LONGEST_DELAY)]
)
def test_restart_delay_doubles_to_a_limit(deaths: int, delay: float) -> None:
    assert restart_delay(deaths) == delay


@pytest.mark.parametrize(
    ("status", "said", "reason"),
    [
        (0, "bye", "exited with status 0"),
        (2, "", "exited with status 2"),
        (2, "no", "exited with status 2: no"),
        (-9, "no", "was killed by SIGKILL"),
        (-250, "", "was killed by signal 250"),
    ],
)
def test_exit_reason(status: int, said: str, reason: str) -> None:
    assert exit_reason(status, said) == reason


def test_last_line(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    assert last_line(log) == ""
    log.write_text("a\n" * 9000 + "the last\n\n")
    assert last_line(log) == "the last"
