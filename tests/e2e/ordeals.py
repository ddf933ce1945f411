"""The fault matrix on real processes: which cases there are, chosen from the flows' definitions.

A case is one task of a flow (a step, or a compensation), what makes the flow come there, and one
fault: of a kind, at an instant. `cases` takes a few for each task, so that in the end each task,
each fault, and each kind at each instant has been taken.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tasks.app import FLOWS
from tasks.definition import FlowDefinition, Step
from tests.saboteur import ALWAYS, Strike
from tests.tasks import test_matrix as matrix

BEFORE, EFFECT, AFTER = "before the effect", "before the journal", "before the next message"
UNDO = "during the compensation"

CHILD, WORKER = "child killed", "worker killed"
LOST, DOUBLED, STALE = "message lost", "message doubled", "stale epoch"
DATABASE, NODE_LOST = "database error", "node lost"
CLEAN, DIRTY, UNKNOWN = "driver clean", "driver dirty", "driver unknown"

WORLD_ONLY = frozenset(
    {
        "group.create",
        "group_snapshot.create",
        "group_snapshot.delete",
        "snapshot.manage",
        "volume.manage",
    }
)
"""Kinds whose `START` puts by hand into a world what a flow begins from: objects on a node, groups.
They are in the matrix of one thread alone."""
KNOWN = [definition for definition in FLOWS if definition.kind in matrix.START.keys() - WORLD_ONLY]
"""Flows that one knows how to begin; the matrix of one thread sees to it that none is forgotten."""

LEAST = 60
"""Cases, however few flows there are."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong: at points of a task (see `tests.seams`) the acts of `tests.saboteur`.

    `name` is that of the same fault in the matrix of one thread, where how a case ends depends on
    it.
    """

    kind: str
    instant: str
    acts: tuple[tuple[str, str], ...]
    name: str = ""


def _messages(effect: str, after: str) -> list[Fault]:
    """What happens to messages on either side, by what the points are named there."""
    return [
        Fault(LOST, BEFORE, (("begin", "lose"),)),
        Fault(LOST, AFTER, (("done", "lose"),)),
        Fault(DOUBLED, BEFORE, (("begin", "double"),)),
        Fault(DOUBLED, EFFECT, ((effect, "double"),)),
        Fault(DOUBLED, AFTER, ((after, "double"),)),
        Fault(DOUBLED, AFTER, (("begin", "keep"),), "late"),
        Fault(STALE, BEFORE, (("begin", "hold"), ("begin", "let go"))),
        Fault(STALE, EFFECT, (("begin", "hold"), (effect, "let go"))),
        Fault(STALE, AFTER, (("begin", "hold"), (after, "let go"))),
    ]


CONTROL_FAULTS = [
    Fault(CHILD, BEFORE, (("transaction", "kill child"),)),
    Fault(CHILD, EFFECT, (("effect", "kill child"),)),
    Fault(CHILD, AFTER, (("done", "kill child"),)),
    Fault(WORKER, BEFORE, (("transaction", "kill worker"),)),
    Fault(WORKER, EFFECT, (("commit", "kill worker"),)),
    Fault(WORKER, AFTER, (("committed", "kill worker"),)),
    Fault(DATABASE, BEFORE, (("transaction", "database"),)),
    Fault(DATABASE, EFFECT, (("commit", "database"),)),
    Fault(DATABASE, AFTER, (("committed", "database"),)),
    *_messages("effect", "committed"),
]

NODE_FAULTS = [
    Fault(NODE_LOST, BEFORE, (("fenced", "kill worker"),), "gone-begin"),
    Fault(NODE_LOST, EFFECT, (("acted", "kill worker"),), "gone-acted"),
    Fault(NODE_LOST, AFTER, (("done", "kill worker"),), "gone-done"),
    Fault(WORKER, BEFORE, (("fenced", "kill worker"),)),
    Fault(WORKER, EFFECT, (("acted", "kill worker"),)),
    Fault(WORKER, AFTER, (("recorded", "kill worker"),)),
    Fault(CLEAN, BEFORE, (("call", "clean"),), "driver-clean"),
    Fault(DIRTY, EFFECT, (("called", "dirty"),), "driver-dirty"),
    Fault(UNKNOWN, EFFECT, (("called", "unknown"),), "driver-unknown"),
    *_messages("acted", "recorded"),
]

WANTED = {(fault.kind, fault.instant) for fault in (*CONTROL_FAULTS, *NODE_FAULTS)}
WANTED |= {(fault.kind, UNDO) for fault in (*CONTROL_FAULTS, *NODE_FAULTS)}
"""Every kind at every instant at which there is such a thing: a message is not lost in the middle
of its task, and a driver that has left nothing behind has had no effect."""


@dataclass(frozen=True, slots=True)
class Case:
    """One task, what makes its flow come there, and what goes wrong there."""

    definition: FlowDefinition
    step: Step
    task: str
    turn: str
    fault: Fault

    def __str__(self) -> str:
        what = f"{self.fault.kind} {self.fault.name or self.fault.instant}"
        return f"{self.task}-{self.turn}-{what}".replace(" ", "_")

    @property
    def covers(self) -> tuple[str, str]:
        """Kind and instant."""
        return self.fault.kind, self.fault.instant if self.turn == "forward" else UNDO

    @property
    def end(self) -> str:
        """How its flow must end while a lost node is away."""
        return matrix.end_of(self.definition, self.step, self.turn, self.fault.name)

    def strikes(self, project: str) -> Iterator[Strike]:
        """The fault, and what has the flow turn around before it; in a project of its own."""
        yield from self._turn(f"{project}-turn", project)
        for number, (point, act) in enumerate(self.fault.acts):
            yield Strike(f"{project}-fault{number}", project, self.task, point, act)

    def _turn(self, name: str, project: str) -> Iterator[Strike]:
        definition = self.definition
        node_step = next((step for step in definition.steps if step.on_node), None)
        if self.turn == "retry" and node_step is not None:
            yield Strike(name, project, node_step.task, "called", "dirty")
        elif self.turn == "undo" and definition.undo_clean_pivot and node_step is not None:
            yield Strike(name, project, node_step.task, "call", "clean", ALWAYS)
        elif self.turn == "undo":
            last = definition.index(definition.pivot) or len(definition.steps)
            # always: who is to turn the flow around may be killed by another case meanwhile
            task = definition.steps[last - 1].task
            yield Strike(name, project, task, "work", "defect", ALWAYS)


def cases() -> list[Case]:
    """One for each task, each time what has come least so far; then as many as are missing."""
    chosen: list[Case] = []
    came: Counter[object] = Counter()
    while len(chosen) < LEAST or not came.keys() >= {*WANTED, *CONTROL_FAULTS, *NODE_FAULTS}:
        before = len(chosen)
        for definition, step, task, turn, on_node in matrix.targets(KNOWN):
            offered = [
                case
                for fault in (NODE_FAULTS if on_node else CONTROL_FAULTS)
                if (case := Case(definition, step, task, turn, fault)) not in chosen
                and not (fault.kind == NODE_LOST and came[case.covers])  # each has its own node
                and not (before >= LEAST and came[fault] and came[case.covers])
            ]
            if offered:
                best = min(offered, key=lambda case: (came[case.covers], came[case.fault]))
                chosen.append(best)
                came.update((best.covers, best.fault))
        assert len(chosen) > before
    return chosen


def part_of(chosen: Iterable[Case]) -> list[Case]:
    """As few of these as have each kind at each instant all the same."""
    first: dict[tuple[str, str], Case] = {}
    for case in chosen:
        first.setdefault(case.covers, case)
    return list(first.values())
