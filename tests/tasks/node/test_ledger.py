"""The ledger: against a simple model, and the cases that name a crash."""

import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings, strategies
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tasks.node import ledger as ledger_module
from tasks.node.ledger import Begin, Ledger, LedgerError, Verdict, Work

CREATE, DESTROY = "volume.create.create", "volume.create.destroy"


def work(
    object_: str = "volume-1", epoch: int = 1, task: str = CREATE, flow: str = "flow-1"
) -> Work:
    return Work(object_, epoch, flow, task, {"backend": "fake"}, destroys=task == DESTROY)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger(tmp_path / "ledger.db")
    yield opened
    opened.close()


class Clock:
    """Stands in for the module's `time`: the ledger's monotonic clock, moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    moved = Clock()
    monkeypatch.setattr(ledger_module, "time", moved)
    return moved


class Model(RuleBasedStateMachine):
    """What the ledger must answer, said with dictionaries."""

    objects = strategies.sampled_from(["volume-1", "volume-2"])
    epochs = strategies.integers(1, 4)
    tasks = strategies.sampled_from([CREATE, DESTROY])
    flows = strategies.sampled_from(["flow-1", "flow-2"])

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.ledger = Ledger(self.folder / "ledger.db")
        self.starts = 1
        self.fences: dict[str, tuple[int, bool]] = {}
        #: (object, epoch, task) → [work, incarnation, outcome or None]
        self.records: dict[tuple[str, int, str], list[Any]] = {}

    def teardown(self) -> None:
        self.ledger.close()
        shutil.rmtree(self.folder)

    def runs(self, record: list[Any]) -> bool:
        return record[2] is None and record[1] == self.starts

    def expected(self, asked: Work) -> Begin:
        epoch, buried = self.fences.get(asked.object, (0, False))
        record = self.records.get((asked.object, asked.epoch, asked.task))
        if asked.epoch < epoch:
            return Begin(Verdict.STALE)
        if buried and not asked.destroys:
            return Begin(Verdict.BURIED)
        if record and record[0].flow != asked.flow:
            return Begin(Verdict.STALE)
        if record and record[2]:
            return Begin(Verdict.DUPLICATE, reply={"outcome": record[2]})
        if record and self.runs(record):
            return Begin(Verdict.BUSY)
        unsettled = any(
            done.object == asked.object
            and (done.flow, done.task) == (asked.flow, asked.task)
            and outcome != "clean"
            for done, _, outcome in self.records.values()
        )
        return Begin(Verdict.GO, unsettled=unsettled)

    @rule(object_=objects, epoch=epochs, task=tasks, flow=flows)
    def begin(self, object_: str, epoch: int, task: str, flow: str) -> None:
        asked = work(object_, epoch, task, flow)
        expected = self.expected(asked)

        answer = self.ledger.begin(asked)

        assert (answer.verdict, answer.reply, answer.unsettled) == (
            expected.verdict,
            expected.reply,
            expected.unsettled,
        )
        if answer.verdict is not Verdict.GO:
            return
        self.records = {
            key: record
            for key, record in self.records.items()
            if key[0] != object_ or key[1] >= epoch or self.runs(record)
        }
        self.records[object_, epoch, task] = [asked, self.starts, None]
        buried = self.fences.get(object_, (0, False))[1]
        self.fences[object_] = (epoch, buried or asked.destroys)

    @precondition(lambda self: any(self.runs(record) for record in self.records.values()))
    @rule(data=strategies.data(), outcome=strategies.sampled_from(["done", "clean", "dirty"]))
    def finish(self, data: strategies.DataObject, outcome: str) -> None:
        running = [record for record in self.records.values() if self.runs(record)]
        record = data.draw(strategies.sampled_from(running))

        self.ledger.finish(record[0], outcome, {"outcome": outcome})

        record[2] = outcome

    @precondition(lambda self: any(self.runs(record) for record in self.records.values()))
    @rule(data=strategies.data())
    def abandon(self, data: strategies.DataObject) -> None:
        running = [key for key, record in self.records.items() if self.runs(record)]
        key = data.draw(strategies.sampled_from(running))

        self.ledger.abandon(self.records.pop(key)[0])

    @rule()
    def restart(self) -> None:
        self.ledger.close()
        self.ledger = Ledger(self.folder / "ledger.db")
        self.starts += 1

    @invariant()
    def what_runs_and_what_was_cut_short(self) -> None:
        open_ = {key: record for key, record in self.records.items() if record[2] is None}
        assert self.ledger.number == self.starts
        assert {(r.object, r.epoch, r.task) for r in self.ledger.running()} == {
            key for key, record in open_.items() if self.runs(record)
        }
        assert {(r.object, r.epoch, r.task) for r in self.ledger.interrupted()} == {
            key for key, record in open_.items() if not self.runs(record)
        }


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


def test_a_name_that_was_destroyed_is_never_made_again(ledger: Ledger) -> None:
    assert ledger.begin(work(epoch=2, task=DESTROY)).verdict is Verdict.GO

    late = ledger.begin(work(epoch=1))
    again = ledger.begin(work(epoch=3))

    assert late.verdict is Verdict.STALE
    assert again.verdict is Verdict.BURIED


def test_the_tombstone_is_there_before_the_destroy_has_ended(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    assert ledger.begin(work(epoch=2, task=DESTROY)).verdict is Verdict.GO
    ledger.close()  # as if killed in the middle of it

    ledger = Ledger(tmp_path / "ledger.db")

    assert ledger.begin(work(epoch=3)).verdict is Verdict.BURIED
    ledger.close()


def test_who_waited_for_the_lock_learns_that_a_destroy_came(ledger: Ledger) -> None:
    waiting = work(epoch=1)
    ledger.begin(waiting)
    assert not ledger.overtaken(waiting)

    ledger.begin(work(epoch=1, task=DESTROY))

    assert ledger.overtaken(waiting)


def test_an_operation_that_still_runs_is_told_of_after_a_newer_epoch(ledger: Ledger) -> None:
    ledger.begin(work(epoch=1))
    ledger.begin(work(epoch=2, task=DESTROY))

    assert [run.epoch for run in ledger.running()] == [1, 2]


def test_another_live_process_of_the_node_is_not_interrupted(tmp_path: Path) -> None:
    old, new = Ledger(tmp_path / "ledger.db"), Ledger(tmp_path / "ledger.db")
    old.begin(work())

    assert new.number == old.number + 1
    assert new.begin(work()).verdict is Verdict.BUSY
    assert new.interrupted() == []

    old.close()
    assert [run.object for run in new.interrupted()] == ["volume-1"]
    assert new.begin(work()).verdict is Verdict.GO
    assert new.interrupted() == []
    new.close()


def test_only_one_of_many_threads_and_processes_goes(tmp_path: Path) -> None:
    ledgers = [Ledger(tmp_path / "ledger.db") for _ in range(3)]
    verdicts: list[Verdict] = []

    def ask(ledger: Ledger) -> None:
        for number in range(20):
            verdicts.append(ledger.begin(work(f"volume-{number}")).verdict)

    threads = [threading.Thread(target=ask, args=(ledger,)) for ledger in ledgers * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert verdicts.count(Verdict.GO) == 20
    assert verdicts.count(Verdict.BUSY) == 100
    for ledger in ledgers:
        ledger.close()


def test_a_lost_ledger_is_another_one(tmp_path: Path) -> None:
    first = Ledger(tmp_path / "ledger.db")
    first.close()
    again = Ledger(tmp_path / "ledger.db")
    again.close()
    for file in tmp_path.iterdir():
        file.unlink()

    lost = Ledger(tmp_path / "ledger.db")

    assert again.uuid == first.uuid
    assert lost.uuid != first.uuid
    lost.close()


def test_a_file_that_is_no_ledger_is_named(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_text("not a database, and long enough to be told from one" * 9)

    with pytest.raises(LedgerError, match=r"ledger\.db"):
        Ledger(tmp_path / "ledger.db")


def test_the_ledger_of_a_newer_version_is_not_touched(tmp_path: Path) -> None:
    Ledger(tmp_path / "ledger.db").close()
    with sqlite3.connect(tmp_path / "ledger.db") as db:
        db.execute("PRAGMA user_version = 99")

    with pytest.raises(LedgerError, match="of version 99"):
        Ledger(tmp_path / "ledger.db")


def test_old_answers_go_before_old_tombstones(clock: Clock, tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    destroy = work(epoch=2, task=DESTROY)
    ledger.begin(destroy)
    ledger.finish(destroy, "done", {"outcome": "done"})

    clock.now += 2 * 86_400
    assert ledger.purge() == 1
    assert ledger.begin(work(epoch=2)).verdict is Verdict.BURIED

    clock.now += 6 * 86_400
    assert ledger.purge() == 1
    assert ledger.begin(work(epoch=2)).verdict is Verdict.GO
    ledger.close()


def test_what_runs_keeps_its_fence_however_long_it_takes(clock: Clock, tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    ledger.begin(work(epoch=5))

    clock.now += 30 * 86_400

    assert ledger.purge() == 0
    assert ledger.begin(work(epoch=4)).verdict is Verdict.STALE
    assert ledger.running()[0].seconds == pytest.approx(30 * 86_400)
    ledger.close()


def test_the_time_that_a_node_is_down_ages_nothing(clock: Clock, tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    destroy = work(epoch=2, task=DESTROY)
    ledger.begin(destroy)
    ledger.finish(destroy, "done", {"outcome": "done"})
    clock.now += 4 * 86_400
    ledger.purge()
    ledger.close()

    clock.now = 5.0  # a reboot: the machine's clock starts anew, whenever that is
    ledger = Ledger(tmp_path / "ledger.db")
    clock.now += 2 * 86_400
    assert ledger.purge() == 0  # 4 + 2 days of running

    clock.now += 2 * 86_400
    assert ledger.purge() == 1
    ledger.close()


def test_an_interrupted_operation_is_forgotten_in_the_end(clock: Clock, tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    ledger.begin(work())
    ledger.close()
    ledger = Ledger(tmp_path / "ledger.db")
    assert len(ledger.interrupted()) == 1

    clock.now += 8 * 86_400
    ledger.purge()

    assert ledger.interrupted() == []
    ledger.close()


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    ledger.begin(work())

    modes = [file.stat().st_mode & 0o777 for file in tmp_path.iterdir()]
    ledger.close()

    assert modes == [0o600] * 4  # the database, its log and index, the locks
