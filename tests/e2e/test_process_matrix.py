"""The fault matrix on real processes: 60 cases and more at once, on either broker.

Workers are killed, messages lost, doubled and late, connections to the database ended, and storage
fails, each at the very instant that `tests.e2e.ordeals` says. Every case has a project of its own.
Who is dead is started again, but for the nodes that are to be lost: they come back at the end.
"""

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select

from config.settings import load
from db import database_app
from db.models import Flow, QueueProbe
from db.models.flow import UNFINISHED
from tasks.app import make_sender
from tasks.engine import Engine
from tests.e2e.conftest import fake_backend, fake_objects, parts_of
from tests.e2e.ordeals import (
    CONTROL_FAULTS,
    KNOWN,
    LEAST,
    NODE_FAULTS,
    NODE_LOST,
    WANTED,
    Case,
    cases,
    part_of,
)
from tests.harness import PROJECT, World
from tests.processes import wait_for
from tests.saboteur import kept_messages, send_copy, struck, write_plan
from tests.stack import Broker, Stack
from tests.tasks.test_matrix import DONE, ENDS, PARKED, START, seen, targets
from tests.truth import Truth

CASES = cases()
PARTS = {"redis-postgresql": CASES, "rabbitmq-sqlite": part_of(CASES)}

LASTING, SPARE = "lasting", "spare"
"""Back ends: of nodes that are started again at once, and where a flow goes from a lost node."""
AT_ONCE = 14
"""Cases. Each of them mostly waits until something is missed."""
SETTINGS = {
    "SWEEPER__INTERVAL": "0.6",
    "SWEEPER__NODE_DOWN_TICKS": "25",
    "NODE__REPORT_INTERVAL": "1",
}
"""With so many nodes a busy machine is to keep up, and none to count as lost for a slow start."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


class Plot(World):
    """What one case does, as in a `World`: on real processes, in a project of its own."""

    def __init__(self, engine: Engine, flask: Flask, project: str, volume_type: str) -> None:
        self.engine, self.flask = engine, flask
        self.project, self._type = project, volume_type

    def submit(
        self, kind: str, resource_id: str, payload: dict[str, Any], project: str = PROJECT
    ) -> str:
        """Commit a flow's row and send its chain, in this project; volumes are of its type."""
        if kind == "volume.create":
            payload = {"volume_type": self._type, **payload}
        return super().submit(kind, resource_id, payload, self.project)

    def settle(self) -> None:
        """Wait until nothing of the project is under way."""
        wait_for(lambda: not self._under_way(), 150, f"the end of the flows of {self.project}")

    def _under_way(self) -> int:
        query = select(func.count()).where(
            Flow.project_id == self.project, Flow.state.in_(UNFINISHED)
        )
        with self.reading() as tx:
            return tx.scalar(query) or 0


class Trial:
    """Cases on one installation, all together. After `run`, `wrong` says which went how."""

    def __init__(
        self, folder: Path, database: str | None, broker: Broker, chosen: list[Case]
    ) -> None:
        self.cases = chosen
        self._lost = [f"node{n + 4}" for n in range(sum(c.fault.kind == NODE_LOST for c in chosen))]
        shelves = {**dict.fromkeys(("node1", "node2", "node3"), LASTING), "node99": SPARE}
        shelves |= {node: node for node in self._lost}
        backends = {
            # the spare one has the least room, so that nothing goes there by itself
            node: fake_backend(folder, node, 100 if name == SPARE else 1000, name=name)
            for node, name in shelves.items()
        }
        self._plan = folder / "sabotage"
        self._plan.mkdir()
        self.stack = Stack(folder, backends, database, SETTINGS, broker, self._plan)
        self.truth = Truth(self.stack.database, shelves, lambda node: fake_objects(folder, node))
        self.wrong: dict[Case, str] = {}

    def close(self) -> None:
        """End it."""
        self.stack.close()
        self.truth.close()

    def run(self) -> None:
        """Run the cases, let lost nodes and old messages come back, and look."""
        write_plan(
            self._plan, (s for n, case in enumerate(self.cases) for s in case.strikes(f"p{n}"))
        )
        self.stack.start()
        self.stack.wait_until_up()
        self._make_types()
        plots = self._plots()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            # first those that take longest: until a node counts as lost
            order = sorted(plots, key=lambda case: case.fault.kind != NODE_LOST)
            running = {case: pool.submit(_begin, case, plots[case]) for case in order}
            while not all(future.done() for future in running.values()):
                self._start_the_dead()
                time.sleep(0.05)
        self._start_the_dead()
        self.stack.heal()
        self.truth.settled(120)
        self._send_old_messages(next(iter(plots.values())).engine)
        self.truth.settled(60)
        self.wrong = {
            case: said for case, plot in plots.items() if (said := self._judge(plot, case, running))
        }

    def _make_types(self) -> None:
        """One for what lasts, one for each node that is lost, with the spare one."""
        names = {LASTING: LASTING, **{node: f"<or> {node} <or> {SPARE}" for node in self._lost}}
        for name, backends in names.items():
            specs = {"volume_backend_name": backends}
            answer = self.stack.call(
                "POST", "/types", {"volume_type": {"name": name, "extra_specs": specs}}
            )
            assert answer.ok, answer.text

    def _plots(self) -> dict[Case, Plot]:
        urls = {"BROKER": self.stack.broker_url, "DATABASE": self.stack.database}
        settings = load(environ={f"BREEZEBLOCK_{name}__URL": url for name, url in urls.items()})
        engine, flask, lost = make_sender(settings), database_app(settings), iter(self._lost)
        return {
            case: Plot(
                engine, flask, f"p{n}", next(lost) if case.fault.kind == NODE_LOST else LASTING
            )
            for n, case in enumerate(self.cases)
        }

    def _start_the_dead(self) -> None:
        """Not the lost. In the main thread: what another has started ends with that."""
        for name in self.stack.core:
            if name not in self._lost and not self.stack.is_alive(name):
                self.stack.start(name)

    def _send_old_messages(self, engine: Engine) -> None:
        """Those that were kept; returns when all of them have come out of their queues."""
        since = self.truth.tick()
        for message in kept_messages(self._plan):
            send_copy(engine.app, message)

        def have_come_out() -> bool:
            with self.truth.reading() as tx:
                return (tx.scalar(select(func.min(QueueProbe.answered_tick))) or 0) > since + 1

        wait_for(have_come_out, 60, "probes behind the old messages")

    def _judge(self, plot: Plot, case: Case, running: dict[Case, Future[str]]) -> str:
        """What is not as it must be with a case."""
        if (error := running[case].exception()) is not None:
            return repr(error)
        missed = [s.name for s in case.strikes(plot.project) if not struck(self._plan, s.name)]
        if missed:
            return f"never struck: {missed}"
        kind, end = case.definition.kind, DONE if case.end == PARKED else case.end
        found, must = seen(plot, running[case].result()), ENDS.get((kind, end))
        return "" if found == must else f"{found}, not {must}"


def _begin(case: Case, plot: Plot) -> str:
    """Run a case to where it stands while a lost node is away; returns the volume's id."""
    volume = START[case.definition.kind](plot)
    plot.settle()
    if case.end == PARKED:
        assert seen(plot, volume) == ENDS.get((case.definition.kind, PARKED))
    return volume


@pytest.fixture(params=PARTS)
def trial(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Trial]:
    """One that is over."""
    with ExitStack() as ending:
        broker, url = parts_of(request, ending)
        trial = Trial(tmp_path, url, broker, PARTS[request.param])
        ending.callback(trial.close)
        trial.run()
        yield trial


def test_faults(trial: Trial, subtests: pytest.Subtests) -> None:
    for case in trial.cases:
        with subtests.test(str(case)):
            assert case not in trial.wrong, trial.wrong[case]


def test_the_cases_cover_each_task_and_each_fault_at_each_instant() -> None:
    assert len(CASES) >= LEAST
    for part in PARTS.values():
        assert {case.covers for case in part} == WANTED
    assert {case.task for case in CASES} == {task for _, _, task, *_ in targets(KNOWN)}
    assert {case.fault for case in CASES} == {*CONTROL_FAULTS, *NODE_FAULTS}
