"""A storage node's own durable memory: which epoch of each object it has seen, and what it did.

Written before and after every effect, so that a message delivered twice, late or out of order has
no second effect, and so that a node that died in the middle of something can say so.

* A *fence* per object: the highest epoch seen, and whether the object was destroyed (a tombstone).
  A tombstone is written before anything is destroyed and is final: a name is never made again.
* A *record* per object, epoch and task: the operation, and its reply once there is one.

The ledger's clock counts the seconds that the node has run, kept across restarts. A fence must
outlive every message about its object: messages wait while the node is down, and a wall clock
jumps; neither ages a fence by this clock.

A ledger that was made anew knows no fence, so no message from before the loss may have an effect:
of creates that were given up, of volumes that are gone by now. Each order to a node therefore names
the ledger that the control plane knew when it was given (`uuid`); for another one it is stale.
"""

import json
import os
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from tasks.node.locks import Locks

SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS identity (
    id INTEGER PRIMARY KEY CHECK (id = 1), uuid TEXT NOT NULL, number INTEGER NOT NULL,
    age REAL NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS fences (
    object TEXT PRIMARY KEY, epoch INTEGER NOT NULL, tombstone INTEGER NOT NULL,
    touched REAL NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS records (
    object TEXT, epoch INTEGER, task TEXT, flow TEXT NOT NULL, op TEXT NOT NULL,
    incarnation INTEGER NOT NULL, began REAL NOT NULL, outcome TEXT, reply TEXT,
    PRIMARY KEY (object, epoch, task)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS fences_touched ON fences (touched);
CREATE INDEX IF NOT EXISTS records_began ON records (began);
CREATE INDEX IF NOT EXISTS records_running ON records (incarnation) WHERE reply IS NULL;
"""


class LedgerError(Exception):
    """The node's ledger cannot be used."""


class Verdict(StrEnum):
    GO = "go"
    """Nothing stands against it; a record of it is running now."""
    DUPLICATE = "duplicate"
    """This step was done under this epoch; `Begin.reply` is what it answered."""
    BUSY = "busy"
    """This step runs under this epoch at this moment, and will answer."""
    STALE = "stale"
    """A newer epoch of the object, or another flow with this epoch, was here first."""
    BURIED = "buried"
    """The object was destroyed, and only a destroy may still come."""


@dataclass(frozen=True, slots=True)
class Work:
    """One step on one object, as a message asks for it. `destroys` writes the tombstone.

    `task` is the name of the Celery task, which tells a step from its compensation.
    """

    object: str
    epoch: int
    flow: str
    task: str
    op: dict[str, Any]
    destroys: bool = False


@dataclass(frozen=True, slots=True)
class Begin:
    """What the ledger says to a `Work`."""

    verdict: Verdict
    reason: str = ""
    reply: dict[str, Any] | None = None
    unsettled: bool = False
    """An earlier attempt at this step may have left something, whatever this one leaves."""


@dataclass(frozen=True, slots=True)
class Running:
    """An operation without an answer; `seconds` since it began, by the ledger's clock."""

    object: str
    epoch: int
    task: str
    flow: str
    op: dict[str, Any]
    incarnation: int
    seconds: float


class Ledger:
    """One start of the node (an *incarnation*) on the ledger file `path`, made if missing.

    `uuid` is the file's own, new if the file was lost; `number` is raised at every start. Threads
    share an object; several processes may each have one on the same file. Every method raises
    LedgerError if the file cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LedgerError(f"{path}: {error}") from error
        self.locks = Locks(path.with_name(path.name + ".locks"))
        self._path = path
        self._mutex = threading.Lock()
        self._started = time.monotonic()
        self._age: float
        with self.locks.object("ledger", wait=30.0):  # one process at a time makes the file
            self._db = self._connect()
        with self._transaction() as db:
            # The incarnation is marked alive before the number is committed, so that nobody sees
            # the number of a process that has not yet got its mark.
            db.execute("UPDATE identity SET number = number + 1")
            self.uuid, self.number, self._age = db.execute(
                "SELECT uuid, number, age FROM identity"
            ).fetchone()
            self._mark = self.locks.live_as(self.number)

    def close(self) -> None:
        """End this incarnation: what it leaves running counts as interrupted from now on."""
        with self._mutex:
            self._db.close()
        os.close(self._mark)

    def begin(self, work: Work) -> Begin:
        """Decide about `work`; on GO the fence, the tombstone and the record are durable."""
        with self._transaction() as db:
            refusal = self._fenced(db, work) or self._repeated(db, work)
            if refusal:
                return refusal
            unsettled = self._settle_older(db, work)
            db.execute(
                "INSERT INTO fences VALUES (?, ?, ?, ?) ON CONFLICT (object) DO UPDATE SET"
                " epoch = excluded.epoch, tombstone = max(tombstone, excluded.tombstone),"
                " touched = excluded.touched",
                (work.object, work.epoch, work.destroys, self._now()),
            )
            db.execute(
                "INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?, ?, ?, ?, NULL, NULL)",
                (
                    *(work.object, work.epoch, work.task, work.flow),
                    *(json.dumps(work.op), self.number, self._now()),
                ),
            )
            return Begin(Verdict.GO, unsettled=unsettled)

    def overtaken(self, work: Work) -> bool:
        """Whether a newer epoch or a tombstone came while `work` waited for its object's lock."""
        with self._transaction(write=False) as db:
            fence = _fence(db, work.object)
        return fence is not None and (fence[0] > work.epoch or (fence[1] and not work.destroys))

    def finish(self, work: Work, outcome: str, reply: dict[str, Any]) -> None:
        """Record the reply, before it is sent: the same message again gets the same answer."""
        with self._transaction() as db:
            db.execute(
                "UPDATE records SET outcome = ?, reply = ?"
                " WHERE (object, epoch, task, incarnation) = (?, ?, ?, ?) AND reply IS NULL",
                (outcome, json.dumps(reply), work.object, work.epoch, work.task, self.number),
            )
            db.execute("UPDATE fences SET touched = ? WHERE object = ?", (self._now(), work.object))

    def abandon(self, work: Work) -> None:
        """Forget the record of `work`, which had no effect: the same message may try again."""
        with self._transaction() as db:
            db.execute(
                "DELETE FROM records WHERE (object, epoch, task, incarnation) = (?, ?, ?, ?)",
                (work.object, work.epoch, work.task, self.number),
            )

    def running(self) -> list[Running]:
        """What this incarnation has begun and not finished."""
        return [run for run in self._unanswered() if run.incarnation == self.number]

    def interrupted(self) -> list[Running]:
        """What incarnations that are gone have left without an answer."""
        alive: dict[int, bool] = {self.number: True}
        found = []
        for run in self._unanswered():
            if run.incarnation not in alive:
                alive[run.incarnation] = self.locks.lives(run.incarnation)
            if not alive[run.incarnation]:
                found.append(run)
        return found

    def purge(self, records_after: float = 86_400, fences_after: float = 7 * 86_400) -> int:
        """Drop what is older, in seconds of the ledger's clock, and save that clock.

        Returns the number of rows dropped. `records_after` is how long a message delivered again
        gets its old answer; after it the driver is asked once more, which changes nothing.
        `fences_after` must exceed the longest that a message can wait while the node runs, or a
        late create would make a destroyed object anew.
        """
        gone = {run.incarnation for run in self.interrupted()}
        with self._transaction() as db:
            now = self._now()
            db.execute("UPDATE identity SET age = max(age, ?)", (now,))
            dropped = db.execute(
                "DELETE FROM records WHERE began < ? AND reply IS NOT NULL", (now - records_after,)
            ).rowcount
            for number in gone:
                dropped += db.execute(
                    "DELETE FROM records WHERE began < ? AND incarnation = ? AND reply IS NULL",
                    (now - fences_after, number),
                ).rowcount
            # An operation that still runs keeps its fence however long it takes.
            dropped += db.execute(
                "DELETE FROM fences WHERE touched < ?"
                " AND object NOT IN (SELECT object FROM records WHERE reply IS NULL)",
                (now - fences_after,),
            ).rowcount
            return dropped

    def _fenced(self, db: sqlite3.Connection, work: Work) -> Begin | None:
        fence = _fence(db, work.object)
        if fence and work.epoch < fence[0]:
            reason = f"epoch {work.epoch} of {work.object} is older than {fence[0]}"
            return Begin(Verdict.STALE, reason)
        if fence and fence[1] and not work.destroys:
            return Begin(Verdict.BURIED, f"{work.object} was destroyed")
        return None

    def _repeated(self, db: sqlite3.Connection, work: Work) -> Begin | None:
        row = db.execute(
            "SELECT flow, incarnation, reply FROM records WHERE (object, epoch, task) = (?, ?, ?)",
            (work.object, work.epoch, work.task),
        ).fetchone()
        if row is None:
            return None
        flow, incarnation, reply = row
        if flow != work.flow:
            return Begin(Verdict.STALE, f"epoch {work.epoch} of {work.object} is of flow {flow}")
        if reply is not None:
            return Begin(Verdict.DUPLICATE, "done before", reply=json.loads(reply))
        if incarnation == self.number or self.locks.lives(incarnation):
            return Begin(Verdict.BUSY, f"{work.task} of {work.object} runs already")
        return None  # its incarnation died with it: it is begun anew

    def _settle_older(self, db: sqlite3.Connection, work: Work) -> bool:
        """Drop the answered and the interrupted records of older attempts.

        Returns whether one of them at the same task of the flow may have left something.
        """
        unsettled = False
        for epoch, task, flow, incarnation, outcome in db.execute(
            "SELECT epoch, task, flow, incarnation, outcome FROM records WHERE object = ?",
            (work.object,),
        ).fetchall():
            if (flow, task) == (work.flow, work.task) and outcome != "clean":
                unsettled = True
            running = outcome is None and (
                incarnation == self.number or self.locks.lives(incarnation)
            )
            if epoch < work.epoch and not running:
                db.execute(
                    "DELETE FROM records WHERE (object, epoch, task) = (?, ?, ?)",
                    (work.object, epoch, task),
                )
        return unsettled

    def _unanswered(self) -> list[Running]:
        with self._transaction(write=False) as db:
            rows = db.execute(
                "SELECT object, epoch, task, flow, op, incarnation, began FROM records"
                " WHERE reply IS NULL ORDER BY began"
            ).fetchall()
        now = self._now()
        return [
            Running(object_, epoch, task, flow, json.loads(op), number, max(0.0, now - began))
            for object_, epoch, task, flow, op, number, began in rows
        ]

    def _now(self) -> float:
        return self._age + time.monotonic() - self._started

    def _connect(self) -> sqlite3.Connection:
        try:
            self._path.touch(mode=0o600)  # SQLite gives its other files the mode of this one
            db = sqlite3.connect(
                self._path, timeout=30.0, isolation_level=None, check_same_thread=False
            )
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if version == 0:
                # A crash before the last line leaves version 0 and the whole script to run again.
                db.executescript(_SCHEMA)
                db.execute(
                    "INSERT OR IGNORE INTO identity (id, uuid, number, age) VALUES (1, ?, 0, 0)",
                    (str(uuid.uuid4()),),
                )
                db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            elif version != SCHEMA_VERSION:
                raise LedgerError(f"{self._path}: of version {version}, not {SCHEMA_VERSION}")
        except (sqlite3.Error, OSError) as error:
            raise LedgerError(f"{self._path}: {error}") from error
        return db

    @contextmanager
    def _transaction(self, *, write: bool = True) -> Iterator[sqlite3.Connection]:
        with self._mutex:
            try:
                self._db.execute("BEGIN IMMEDIATE" if write else "BEGIN")
                try:
                    yield self._db
                    self._db.execute("COMMIT")
                except BaseException:
                    if self._db.in_transaction:  # SQLite has ended it itself on some errors
                        self._db.execute("ROLLBACK")
                    raise
            except sqlite3.Error as error:
                raise LedgerError(f"{self._path}: {error}") from error


def _fence(db: sqlite3.Connection, object_name: str) -> tuple[int, bool] | None:
    row = db.execute(
        "SELECT epoch, tombstone FROM fences WHERE object = ?", (object_name,)
    ).fetchone()
    return None if row is None else (row[0], bool(row[1]))
