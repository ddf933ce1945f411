"""A worker that comes to grief where a test has said: in a project, in a task, at a point of it.

    python -m tests.saboteur worker control --name control

It is the real worker, with what `tests.seams` cuts into it. The variable SABOTAGE names a folder
with the plan, and with a file for each strike that was made: a plan goes on where it was when a
process that it has killed is started again.
"""

import json
import os
import signal
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from celery import Celery, Task, signals

from cli.main import main
from drivers.errors import DriverFailed, DriverTimeout
from tests.seams import cut_control, cut_node, cut_steps

VARIABLE = "SABOTAGE"
PLAN = "plan.json"
ALWAYS = -1


@dataclass(frozen=True, slots=True)
class Strike:
    """`act` at `point` of `task` in `project`, so many `times`; `name` is its own."""

    name: str
    project: str
    task: str
    point: str
    act: str
    times: int = 1


def write_plan(folder: Path, strikes: Iterable[Strike]) -> None:
    """Say what is to happen; before the workers start."""
    (folder / PLAN).write_text(json.dumps([asdict(strike) for strike in strikes]))


def struck(folder: Path, name: str) -> bool:
    """Whether a strike was made."""
    return (folder / f"{name}.0").exists()


class LostError(Exception):
    """A message is gone: the one at hand, or the one that would be sent next."""


class Saboteur:
    """Carries a plan out in this process and the children that it forks."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._worker = folder, os.getpid()
        self._running = threading.local()
        self._plan: defaultdict[tuple[str, str, str], list[Strike]] = defaultdict(list)
        for words in json.loads((folder / PLAN).read_text()):
            strike = Strike(**words)
            self._plan[strike.project, strike.task, strike.point].append(strike)
        self._acts: dict[str, Callable[[Strike, Task], None]] = {
            "kill child": self._kill_child,
            "kill worker": self._kill_worker,
            "lose": self._lose,
            "double": self._double,
            "keep": self._keep,
            "hold": self._hold,
            "let go": self._let_go,
            "database": self._database,
            "clean": self._clean,
            "dirty": self._dirty,
            "unknown": self._unknown,
            "defect": self._defect,
        }

    def watch(self, app: Celery) -> None:
        """Be there when a task of `app` runs."""
        for task in app.tasks.values():
            task.run = self._watched(task)

    def at(self, point: str) -> None:
        """A task of this process has come to `point`."""
        task: Task | None = getattr(self._running, "task", None)
        if task is None:
            return
        for strike in self._plan.get((self._running.project, task.name, point), ()):
            if self._claims(strike):
                self._acts[strike.act](strike, task)

    def _watched(self, task: Task) -> Callable[..., Any]:
        run = task.run

        def watched(*args: Any, **kwargs: Any) -> Any:
            message = args[0] if args else None
            project = message.get("project") if isinstance(message, dict) else None
            if project is None:
                return run(*args, **kwargs)
            self._running.task, self._running.project = task, project
            try:
                self.at("begin")
                result = run(*args, **kwargs)
                self.at("done")
            except LostError:
                task.request.chain = None
                return {"ended": "lost"}
            finally:
                self._running.task = None
            return result

        return watched

    def _claims(self, strike: Strike) -> bool:
        """Whether it is to be made now. Durable before it is made: it may be this process's end."""
        if strike.times == ALWAYS:
            self._file(strike, 0).touch()
            return True
        if strike.act == "let go" and not self._copy_of(strike).exists():
            return False
        return any(_is_new(self._file(strike, number)) for number in range(strike.times))

    def _file(self, strike: Strike, number: int) -> Path:
        return self._folder / f"{strike.name}.{number}"

    def _copy_of(self, strike: Strike) -> Path:
        return self._folder / f"{strike.project}.copy"

    # -- what happens ----------------------------------------------------------------------------

    def _kill_child(self, _strike: Strike, _task: Task) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def _kill_worker(self, strike: Strike, task: Task) -> None:
        if os.getpid() != self._worker:
            os.kill(self._worker, signal.SIGKILL)
        self._kill_child(strike, task)

    def _lose(self, _strike: Strike, _task: Task) -> None:
        raise LostError

    def _double(self, _strike: Strike, task: Task) -> None:
        send_copy(task.app, _copied(task))

    def _keep(self, strike: Strike, task: Task) -> None:
        new = self._copy_of(strike).with_suffix(".new")
        new.write_text(json.dumps(_copied(task)))
        new.rename(self._copy_of(strike))

    def _hold(self, strike: Strike, task: Task) -> None:
        self._keep(strike, task)
        raise LostError

    def _let_go(self, strike: Strike, task: Task) -> None:
        send_copy(task.app, json.loads(self._copy_of(strike).read_text()))

    def _database(self, _strike: Strike, _task: Task) -> None:
        from sqlalchemy import text
        from sqlalchemy.exc import OperationalError

        from db import db

        if db.engine.dialect.name == "postgresql":
            db.session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
        raise OperationalError("injected", None, Exception("disk I/O error"))

    def _clean(self, _strike: Strike, _task: Task) -> None:
        raise DriverFailed("the test says so", left="clean")

    def _dirty(self, _strike: Strike, _task: Task) -> None:
        raise DriverFailed("the test says so", left="dirty")

    def _unknown(self, _strike: Strike, _task: Task) -> None:
        raise DriverTimeout("the test says so", left="unknown")

    def _defect(self, _strike: Strike, _task: Task) -> None:
        raise RuntimeError("the test says so")


def kept_messages(folder: Path) -> Iterator[dict[str, Any]]:
    """Every message that was kept, for `send_copy`."""
    for file in folder.glob("*.copy"):
        yield json.loads(file.read_text())


def send_copy(app: Celery, copy: dict[str, Any]) -> None:
    """Send a message once more, with what is left of its chain."""
    app.send_task(
        copy["task"],
        args=copy["args"],
        queue=copy["queue"],
        task_id=copy["id"],
        chain=copy["chain"],
    )


def _copied(task: Task) -> dict[str, Any]:
    request = task.request
    return {
        "id": request.id,
        "task": task.name,
        "args": list(request.args),
        "queue": request.delivery_info["routing_key"],
        "chain": json.loads(json.dumps(request.chain)),
    }


def _is_new(file: Path) -> bool:
    try:
        file.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def run() -> None:
    """Be the worker that the command line asks for."""
    saboteur = Saboteur(Path(os.environ[VARIABLE]))
    for cut in (cut_node,) if sys.argv[2] == "node" else (cut_control, cut_steps):
        cut(saboteur.at, setattr)
    # before the worker makes what runs a task from its `run`
    signals.celeryd_init.connect(lambda instance, **_: saboteur.watch(instance.app), weak=False)
    main(prog_name="breezeblock")


if __name__ == "__main__":
    run()
