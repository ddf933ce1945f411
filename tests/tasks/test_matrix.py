"""The fault matrix: every step and every compensation of every flow, times everything that breaks.

Generated from the definitions of the flows: a flow that is added is in it, once `START` says how to
begin one. Each case ends with the invariants, and with what the user is owed.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import count, cycle, islice
from typing import Any

import pytest

from db import groups
from db.models import (
    Group,
    GroupSnapshot,
    GroupType,
    GroupVolumeType,
    Volume,
    VolumeType,
    new_id,
)
from tasks.app import FLOWS
from tasks.definition import FlowDefinition, Run, Step
from tests.harness import World
from tests.tasks import faults
from tests.tasks.faults import Aimed

SIZE, LARGER = 2, 5
CONNECTOR = {"host": "compute1", "initiator": "iqn.2026-01.example:compute1"}
DONE, UNDONE, PARKED, UNTOUCHED = "done", "undone", "parked", "untouched"
DELETED, RESET = "deleted", "reset"
GROUPED = faults.GROUPED.keys()


def _a_volume(world: World) -> str:
    volume_id = world.create(SIZE)
    world.settle()
    return volume_id


def _create(world: World) -> str:
    return world.create(SIZE)


def _delete(world: World) -> str:
    volume_id = _a_volume(world)
    world.delete(volume_id)
    return volume_id


def _extend(world: World) -> str:
    volume_id = _a_volume(world)
    world.extend(volume_id, LARGER)
    return volume_id


def _connect(world: World) -> str:
    volume_id = _a_volume(world)
    world.submit("volume.connect", volume_id, {"connector": CONNECTOR})
    return volume_id


def _disconnect(world: World) -> str:
    volume_id = _connect(world)
    world.settle()
    world.submit("volume.disconnect", volume_id, {"connector": CONNECTOR})
    return volume_id


def _attach(world: World, attachment_id: str = "") -> str:
    volume_id = _a_volume(world)
    make = {"instance_id": None, "mode": None}
    asked = {"volume_id": volume_id, "connector": CONNECTOR, "make": make}
    world.submit("attachment.connect", attachment_id or new_id(), asked)
    return volume_id


def _detach(world: World) -> str:
    attachment_id = new_id()
    volume_id = _attach(world, attachment_id)
    world.settle()
    world.submit("attachment.disconnect", attachment_id, {"volume_id": volume_id})
    return volume_id


def _manage(world: World) -> str:
    volume_id, asked = new_id(), {"host": "node1@fake", "reference": {"source-name": "lun-1"}}
    world.nodes["node1"].store.put("lun-1", "fake", SIZE, None)
    world.submit("volume.manage", volume_id, asked)
    return volume_id


def _unmanage(world: World) -> str:
    volume_id = _a_volume(world)
    world.submit("volume.unmanage", volume_id, {})
    return volume_id


def _retype(world: World) -> str:
    volume_id, type_id = _a_volume(world), new_id()
    with world.writing() as tx:
        tx.add(VolumeType(id=type_id, name=f"gold-{type_id}"))
    asked = {"new_type": type_id, "migration_policy": "never"}
    world.submit("volume.retype", volume_id, asked)
    return volume_id


def _manage_snapshot(world: World) -> str:
    volume_id, snapshot_id = _manage(world), new_id()
    world.settle()
    world.nodes["node1"].store.put("lun-1-before", "fake", SIZE, None)
    asked = {"volume_id": volume_id, "reference": {"source-name": "lun-1-before"}}
    world.submit("snapshot.manage", snapshot_id, asked)
    return snapshot_id


def _unmanage_snapshot(world: World) -> str:
    snapshot_id = _snapshot(world)
    world.settle()
    world.submit("snapshot.unmanage", snapshot_id, {})
    return snapshot_id


def _snapshot(world: World) -> str:
    return world.snapshot(_a_volume(world))


def _delete_snapshot(world: World) -> str:
    snapshot_id = _snapshot(world)
    world.settle()
    world.delete_snapshot(snapshot_id)
    return snapshot_id


def _revert(world: World) -> str:
    volume_id = _a_volume(world)
    snapshot_id = world.snapshot(volume_id)
    world.settle()
    world.revert(volume_id, snapshot_id)
    return volume_id


def _group(world: World) -> str:
    """A group with a volume; not made by a flow, which may be about to be broken."""
    volume_id, group_id = _a_volume(world), new_id()
    with world.writing() as tx:
        volume = tx.get_one(Volume, volume_id)
        group_type = GroupType(name=f"plain-{group_id}")
        tx.add(group_type)
        tx.flush()
        group = Group(
            id=group_id,
            project_id=volume.project_id,
            user_id=volume.user_id,
            status="available",
            visible=True,
            group_type_id=group_type.id,
            host=groups.backend_of(volume.host),
        )
        tx.add(group)
        tx.flush()
        tx.add(GroupVolumeType(group_id=group_id, volume_type_id=str(volume.volume_type_id)))
        volume.group_id = group_id
    return group_id


def _copy_group(world: World) -> str:
    source, group_id = _group(world), new_id()
    world.submit("group.create", group_id, {"source_group_id": source})
    return group_id


def _delete_group(world: World) -> str:
    group_id = _group(world)
    world.submit("group.delete", group_id, {"delete_volumes": True})
    return group_id


def _group_snapshot(world: World) -> str:
    group_id, snapshot_id = _group(world), new_id()
    world.submit("group_snapshot.create", snapshot_id, {"group_id": group_id})
    return snapshot_id


def _delete_group_snapshot(world: World) -> str:
    snapshot_id = _group_snapshot(world)
    world.settle()
    world.submit("group_snapshot.delete", snapshot_id, {})
    return snapshot_id


START: dict[str, Callable[[World], str]] = {
    "volume.create": _create,
    "volume.delete": _delete,
    "volume.extend": _extend,
    "volume.revert": _revert,
    "volume.connect": _connect,
    "volume.disconnect": _disconnect,
    "volume.manage": _manage,
    "volume.unmanage": _unmanage,
    "volume.retype": _retype,
    "snapshot.create": _snapshot,
    "snapshot.delete": _delete_snapshot,
    "snapshot.manage": _manage_snapshot,
    "snapshot.unmanage": _unmanage_snapshot,
    "attachment.connect": _attach,
    "attachment.disconnect": _detach,
    "group.create": _copy_group,
    "group.delete": _delete_group,
    "group_snapshot.create": _group_snapshot,
    "group_snapshot.delete": _delete_group_snapshot,
}
"""How to begin a flow of each kind on a volume of SIZE; returns the id of what is to be seen."""

Seen = tuple[str, int, bool] | None
ENDS: dict[tuple[str, str], Seen] = {
    ("volume.create", DONE): ("available", SIZE, True),
    ("volume.create", UNDONE): ("error", SIZE, False),
    ("volume.delete", UNDONE): ("error_deleting", SIZE, True),
    ("volume.delete", PARKED): ("error_deleting", SIZE, True),
    ("volume.delete", UNTOUCHED): ("available", SIZE, True),
    ("volume.extend", DONE): ("available", LARGER, True),
    ("volume.extend", UNDONE): ("error_extending", SIZE, True),
    ("volume.extend", PARKED): ("error_extending", SIZE, True),
    ("volume.extend", UNTOUCHED): ("available", SIZE, True),
    ("volume.revert", DONE): ("available", SIZE, True),
    ("volume.revert", UNDONE): ("available", SIZE, True),
    ("volume.revert", PARKED): ("error", SIZE, True),
    ("volume.revert", UNTOUCHED): ("available", SIZE, True),
    ("snapshot.create", DONE): ("available", SIZE, True),
    ("snapshot.create", UNDONE): ("error", SIZE, False),
    ("snapshot.delete", PARKED): ("error_deleting", SIZE, True),
    ("snapshot.delete", UNTOUCHED): ("available", SIZE, True),
    ("snapshot.manage", DONE): ("available", SIZE, True),
    ("snapshot.manage", UNDONE): ("error_managing", 0, False),
    ("snapshot.unmanage", UNDONE): ("available", SIZE, True),
    ("snapshot.unmanage", PARKED): ("error_unmanaging", SIZE, True),
    ("snapshot.unmanage", UNTOUCHED): ("available", SIZE, True),
    ("volume.connect", DONE): ("available", SIZE, True),
    ("volume.connect", UNTOUCHED): ("available", SIZE, True),
    ("volume.disconnect", DONE): ("available", SIZE, True),
    ("volume.disconnect", UNTOUCHED): ("available", SIZE, True),
    ("volume.manage", DONE): ("available", SIZE, True),
    ("volume.manage", UNDONE): ("error_managing", 0, False),
    ("volume.unmanage", UNDONE): ("available", SIZE, True),
    ("volume.unmanage", PARKED): ("error_unmanaging", SIZE, True),
    ("volume.unmanage", UNTOUCHED): ("available", SIZE, True),
    ("volume.retype", DONE): ("available", SIZE, True),
    ("volume.retype", UNDONE): ("available", SIZE, True),
    ("volume.retype", UNTOUCHED): ("available", SIZE, True),
    ("attachment.connect", DONE): ("attaching", SIZE, True),
    ("attachment.connect", UNTOUCHED): ("available", SIZE, True),
    ("attachment.disconnect", DONE): ("available", SIZE, True),
    ("attachment.disconnect", UNTOUCHED): ("attaching", SIZE, True),
    ("attachment.disconnect", PARKED): ("in-use", SIZE, True),
    ("group.create", DONE): ("available", 0, True),
    ("group.create", UNDONE): ("error", 0, True),
    ("group.delete", UNTOUCHED): ("available", 0, True),
    ("group_snapshot.create", DONE): ("available", 0, True),
    ("group_snapshot.create", UNDONE): ("error", 0, True),
    ("group_snapshot.delete", UNTOUCHED): ("available", 0, True),
}
"""What the user sees of it: status, size, whether it has a place. Else there is none."""


@dataclass(frozen=True, repr=False)
class Case:
    """One task, what makes its flow come there, what breaks there, and how it must end."""

    definition: FlowDefinition
    task: str
    turn: str
    name: str
    fault: Callable[[str], Aimed]
    end: str
    chosen: bool = True

    def __repr__(self) -> str:
        return f"{self.task}-{self.turn}-{self.name}"


CONTROL_FAULTS: dict[str, Callable[[str], Aimed]] = {
    "lost": faults.Lose,
    "flushed": faults.Flush,
    "doubled": faults.Double,
    "late": faults.Late,
    "overtaken-before": partial(faults.Overtaken, after=False),
    "overtaken-after": partial(faults.Overtaken, after=True),
    "child-killed-before-journal": partial(faults.Die, point="effect"),
    "child-killed-before-commit": partial(faults.Die, point="commit"),
    "child-killed-after-commit": partial(faults.Die, point="committed"),
    "child-killed-before-sending": partial(faults.Die, point="done"),
    "worker-killed-before-commit": partial(faults.Die, point="commit", again=True),
    "worker-killed-after-commit": partial(faults.Die, point="committed", again=True),
    "database-fails-twice-before": partial(
        faults.Break, point="transaction", error=faults.database_error, times=2
    ),
    "database-fails-twice-at-commit": partial(
        faults.Break, point="commit", error=faults.database_error, times=2
    ),
    "database-answer-lost": partial(faults.Break, point="committed", error=faults.database_error),
    "database-down": faults.DatabaseDown,
    "broker-down": partial(faults.Break, point="done", error=faults.broker_error),
    "defect": partial(faults.Break, point="effect", error=faults.defect),
}

NODE_FAULTS: dict[str, Callable[[str], Aimed]] = {
    name: CONTROL_FAULTS[name]
    for name in ("lost", "flushed", "doubled", "late", "overtaken-before", "overtaken-after")
}
for _point in ("begin", "fence", "fenced", "acted", "recorded", "done"):
    NODE_FAULTS |= {
        f"killed-{_point}": partial(faults.NodeDies, point=_point),
        f"killed-{_point}-away": partial(faults.NodeDies, point=_point, back=6),
        f"killed-{_point}-redelivered": partial(faults.NodeDies, point=_point, again=True),
        f"ledger-lost-{_point}": partial(faults.NodeDies, point=_point, ledger=False),
        f"ledger-lost-{_point}-redelivered": partial(
            faults.NodeDies, point=_point, ledger=False, again=True
        ),
    }
NODE_FAULTS |= {
    "away-with-old-message": partial(faults.NodeDies, point="begin", back=6, again=True),
    "ledger-full-before": partial(faults.Break, point="fence", error=faults.ledger_error),
    "ledger-full-after": partial(faults.Break, point="acted", error=faults.ledger_error),
    "driver-clean": partial(faults.DriverFails, fault="fail_before"),
    "driver-dirty": partial(faults.DriverFails, fault="fail_after"),
    "driver-unknown": partial(faults.DriverFails, fault="lose"),
    "hang": faults.Hang,
    "hang-killed": partial(faults.Hang, killed=True),
}
LOST_FOR_GOOD: dict[str, Callable[[str], Aimed]] = {
    f"gone-{point}": partial(faults.NodeDies, point=point, back=-1)
    for point in ("begin", "acted", "done")
}

REFUSALS = LOST_FOR_GOOD.keys() | {
    name for name in NODE_FAULTS if name.startswith(("driver-", "hang", "ledger-full"))
}
"""What makes a node refuse a request that it is to answer itself."""

CANCEL = partial(faults.Act, act=faults.cancel)
ABORT = partial(faults.Act, act=faults.abort)
FORCE = partial(faults.Act, act=faults.force_delete)
RESET_STATUS = partial(faults.Act, act=faults.reset_to_error)
FORGET = partial(faults.Act, act=faults.forget_node)


def end_of(definition: FlowDefinition, step: Step, turn: str, fault: str) -> str:
    """How a case must end. Trouble of the installation is no reason to fail a request."""
    if turn != "forward":
        return DONE if turn == "retry" else _undone(definition)
    pivot = definition.index(definition.pivot)
    if step.on_node and pivot is None and definition.retry_from is None:
        return _undone(definition) if fault in REFUSALS else DONE
    if step.index == pivot:
        if fault in LOST_FOR_GOOD:
            return PARKED
        untouched = fault == "driver-clean" and definition.undo_clean_pivot
        return UNDONE if untouched else DONE
    if fault == "defect" and (pivot is None or step.index < pivot):
        return UNTOUCHED if step.index <= _admission(definition) else UNDONE
    return DONE


def _undone(definition: FlowDefinition) -> str:
    """What is undone before the client has its answer leaves nothing to see."""
    return UNTOUCHED if _admission(definition) == len(definition.steps) - 1 else UNDONE


def _admission(definition: FlowDefinition) -> int:
    index = definition.index(definition.admission)
    assert index is not None
    return index


def _turns(definition: FlowDefinition, step: Step) -> Iterator[str]:
    """What makes a flow of this kind come to the compensation of `step`."""
    pivot, floor = definition.index(definition.pivot), definition.index(definition.retry_from)
    if pivot is None or definition.undo_clean_pivot or step.index + 1 < pivot:
        yield "undo"
    if floor is not None and step.index >= floor:
        yield "retry"


def targets(
    definitions: Iterable[FlowDefinition],
) -> Iterator[tuple[FlowDefinition, Step, str, str, bool]]:
    """Each step and each compensation, with what makes a flow come there; whether on a node."""
    for definition in definitions:
        for step in definition.steps:
            yield definition, step, step.task, "forward", step.on_node
            for turn in _turns(definition, step) if step.undo_name else ():
                yield definition, step, step.undo_task, turn, step.undo_order is not None


CHANGING = [definition for definition in FLOWS if definition.kind != "node"]
"""A flow that asks a node and changes nothing is tried by itself."""


def _cases() -> Iterator[Case]:
    """All cases. Chosen are a few for each task, in turn, so that each fault has its turn too."""
    on_nodes = NODE_FAULTS | LOST_FOR_GOOD
    turns = {True: (cycle(on_nodes), 12), False: (cycle(CONTROL_FAULTS), 3)}
    for definition, step, task, turn, on_node in targets(CHANGING):
        names, how_many = turns[on_node]
        chosen = set(islice(names, how_many))
        for name, fault in (on_nodes if on_node else CONTROL_FAULTS).items():
            end = end_of(definition, step, turn, name)
            yield Case(definition, task, turn, name, fault, end, name in chosen)
        for name, fault, end in _interventions(definition, step, turn, on_node):
            yield Case(definition, task, turn, name, fault, end)


def _interventions(
    definition: FlowDefinition, step: Step, turn: str, on_node: bool
) -> Iterator[tuple[str, Callable[[str], Aimed], str]]:
    """What people may do while a flow is about to run a task."""
    pivot = definition.index(definition.pivot)
    last = _admission(definition) if pivot is None else min(_admission(definition), pivot - 1)
    if turn == "forward" and step.index <= last:
        yield "cancelled", CANCEL, UNTOUCHED
        return
    if turn == "forward" and step.index < (len(definition.steps) if pivot is None else pivot):
        yield "aborted", ABORT, UNDONE
    if definition.kind.partition(".")[0] not in GROUPED:
        yield "force-deleted", FORCE, DELETED
    yield "status-reset", RESET_STATUS, RESET
    if on_node:
        end = end_of(definition, step, turn, "gone-begin")
        gone = definition.kind in ("volume.delete", "snapshot.delete", "attachment.disconnect")
        yield "node-forgotten", FORGET, DONE if gone else end


def _turn_around(case: Case, world: World, patch: pytest.MonkeyPatch) -> None:
    """Have a later step fail, so that the flow comes to the compensation in question."""
    definition = case.definition
    node_step = next((step for step in definition.steps if step.on_node), None)
    if case.turn == "retry" and node_step is not None:
        world.faults.append(faults.DriverFails(node_step.task, "fail_after"))
    elif case.turn == "undo" and definition.undo_clean_pivot and node_step is not None:
        world.faults.append(faults.DriverFails(node_step.task, "fail_before", times=-1))
    elif case.turn == "undo":
        last = definition.index(definition.pivot) or len(definition.steps)
        patch.setattr(definition.steps[last - 1], "do", _broken_once(definition.steps[last - 1]))


def _broken_once(step: Step) -> Callable[[Run], Any]:
    works, attempts = step.do, count()

    def do(run: Run) -> Any:
        if works is None or next(attempts) == 0:
            raise RuntimeError("injected")
        return works(run)

    return do


def seen(world: World, resource_id: str) -> Seen:
    """What the user sees of a volume or a snapshot, as in `ENDS`."""
    if volume := world.volume(resource_id):
        return volume.status, volume.size, volume.host is not None
    if snapshot := world.snapshot_row(resource_id):
        return snapshot.status, snapshot.size, snapshot.pool_id is not None
    with world.reading() as tx:
        row = tx.get(Group, resource_id) or tx.get(GroupSnapshot, resource_id)
    return (row.status, 0, row.visible) if row else None


CASES = list(_cases())


@pytest.mark.parametrize(
    "case",
    [pytest.param(c, marks=[] if c.chosen else pytest.mark.matrix, id=str(c)) for c in CASES],
)
def test_fault(case: Case, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    begin = START[case.definition.kind]
    fault = case.fault(case.task)
    world.faults.append(fault)
    _turn_around(case, world, monkeypatch)

    resource_id = begin(world)
    world.finish()

    assert fault.struck, world.story()
    if case.end == RESET:
        if (noun := case.definition.kind.partition(".")[0]) in GROUPED:
            world.submit(f"{noun}.delete", resource_id, {"delete_volumes": True})
        elif world.snapshot_row(resource_id):
            world.delete_snapshot(resource_id)
        else:
            world.delete(resource_id, cascade=True)
        world.finish()
    assert seen(world, resource_id) == ENDS.get((case.definition.kind, case.end)), world.story()
    if case.end in (DELETED, RESET):
        held = [name for node in world.nodes.values() for name in node.objects()]
        assert not any(resource_id in name for name in held), world.story()


def test_every_flow_is_in_the_matrix() -> None:
    assert {definition.kind for definition in CHANGING} == START.keys()


def test_the_chosen_cases_cover_each_task_and_each_fault() -> None:
    chosen = [case for case in CASES if case.chosen]
    assert {case.task for case in chosen} == {case.task for case in CASES}
    assert {case.name for case in chosen} == {case.name for case in CASES}


def test_every_compensation_is_in_the_matrix() -> None:
    all_of_them = {s.undo_task for d in FLOWS for s in d.steps if s.undo_name}
    assert all_of_them <= {case.task for case in CASES}
