"""Any sequence of requests, overrides and faults, against a model that knows only the outcome."""

from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import select

from db import overrides
from db.models import Quota, QuotaUsage, Volume
from db.models.flow import REFUSED
from tests.harness import PROJECT, World
from tests.tasks.test_matrix import (
    CASES,
    DELETED,
    DONE,
    LOST_FOR_GOOD,
    RESET,
    UNDONE,
    UNTOUCHED,
    Case,
)

MOST_VOLUMES, MOST_GIB = 4, 20
TROUBLES = {
    kind: [
        case
        for case in CASES
        if (case.definition.kind, case.turn) == (kind, "forward")
        # A node that never comes back leaves nothing to go on with.
        and case.name not in (*LOST_FOR_GOOD, "node-forgotten")
    ]
    for kind in ("volume.create", "volume.delete", "volume.extend")
}


def trouble(kind: str) -> st.SearchStrategy[Case | None]:
    """What happens in the middle of a flow of that kind, often nothing."""
    return st.none() | st.sampled_from(TROUBLES[kind])


@dataclass
class Known:
    """A volume as its owner knows it."""

    size: int
    status: str = "available"
    charged: bool = True
    placed: bool = True


class Installation(RuleBasedStateMachine):
    """One project with room for MOST_VOLUMES volumes and MOST_GIB GiB."""

    world: World

    def __init__(self) -> None:
        super().__init__()
        self.world.reset()
        self.known: dict[str, Known] = {}
        with self.world.writing() as tx:
            for resource, limit in (("volumes", MOST_VOLUMES), ("gigabytes", MOST_GIB)):
                tx.add(Quota(project_id=PROJECT, resource=resource, hard_limit=limit))

    @rule(size=st.integers(1, 9), case=trouble("volume.create"))
    def create(self, size: int, case: Case | None) -> None:
        fault = self._arm(case)
        fits = self._fits(1, size)
        volume_id = self.world.create(size)
        self.world.finish()
        end = case.end if case and fault.struck else DONE
        if not fits or end in (UNTOUCHED, DELETED):
            if not fits:
                # A cancellation may have come before the quota was looked at.
                assert self.world.flow_of(volume_id).state in (REFUSED, "cancelled")
        elif end == UNDONE:
            self.known[volume_id] = Known(size, "error", charged=False, placed=False)
        else:
            self.known[volume_id] = Known(size, "error" if end == RESET else "available")

    @precondition(lambda self: self.known)
    @rule(data=st.data(), growth=st.integers(0, 6), case=trouble("volume.extend"))
    def extend(self, data: st.DataObject, growth: int, case: Case | None) -> None:
        volume_id = data.draw(st.sampled_from(list(self.known)))
        volume = self.known[volume_id]
        allowed = volume.status == "available" and growth > 0 and self._fits(0, growth)
        fault = self._arm(case)
        self.world.extend(volume_id, volume.size + growth)
        self.world.finish()
        end = case.end if case and fault.struck else DONE
        match end:
            case "deleted":
                del self.known[volume_id]
            case "reset":
                volume.status = "error"
            case "done" if allowed:
                volume.size += growth
            case "undone" if allowed:
                volume.status = "error_extending"

    @precondition(lambda self: self.known)
    @rule(data=st.data(), force=st.booleans(), case=trouble("volume.delete"))
    def delete(self, data: st.DataObject, force: bool, case: Case | None) -> None:
        volume_id = data.draw(st.sampled_from(list(self.known)))
        fault = self._arm(case)
        self.world.delete(volume_id, force=force)
        self.world.finish()
        end = case.end if case and fault.struck else DONE
        if end == RESET:
            self.known[volume_id].status = "error"
        elif end != UNTOUCHED:
            del self.known[volume_id]

    @precondition(lambda self: self.known)
    @rule(data=st.data())
    def reset_status(self, data: st.DataObject) -> None:
        volume_id = data.draw(st.sampled_from(list(self.known)))
        with self.world.writing() as tx:
            overrides.reset_volume_status(tx, volume_id, "error")
        self.known[volume_id].status = "error"

    @rule(data=st.data(), sizes=st.lists(st.integers(1, 9), min_size=2, max_size=5))
    def many_at_once(self, data: st.DataObject, sizes: list[int]) -> None:
        """Creates, and deletes of what there is, whose messages come in any order."""
        going = (
            data.draw(st.lists(st.sampled_from(list(self.known)), unique=True))
            if (self.known)
            else []
        )
        most = self._used()
        self.world.choose = lambda queues: data.draw(st.sampled_from(queues))
        coming = {self.world.create(size): size for size in sizes}
        for volume_id in going:
            self.world.delete(volume_id, force=data.draw(st.booleans()))
        self.world.finish()
        self.world.choose = min
        for volume_id in going:
            del self.known[volume_id]
        for volume_id, size in coming.items():
            if self.world.flow_of(volume_id).state == REFUSED:
                count, gib = most
                others = sum(coming.values()) - size
                assert count + len(coming) > MOST_VOLUMES or gib + others + size > MOST_GIB
            else:
                self.known[volume_id] = Known(size)

    @invariant()
    def the_world_is_as_known(self) -> None:
        with self.world.reading() as tx:
            rows = {volume.id: volume for volume in tx.scalars(select(Volume))}
            usage = {row.resource: row.in_use for row in tx.scalars(select(QuotaUsage))}
        seen = {v.id: (v.size, v.status, v.host is not None) for v in rows.values()}
        known = {i: (v.size, v.status, v.placed) for i, v in self.known.items()}
        assert seen == known, self.world.story()
        assert (usage.get("volumes", 0), usage.get("gigabytes", 0)) == self._used()

    def _arm(self, case: Case | None) -> Any:
        self.world.faults.clear()
        fault = case.fault(case.task) if case else None
        self.world.faults += [fault] if fault else []
        return fault

    def _used(self) -> tuple[int, int]:
        charged = [volume.size for volume in self.known.values() if volume.charged]
        return len(charged), sum(charged)

    def _fits(self, count: int, gib: int) -> bool:
        volumes, used = self._used()
        return volumes + count <= MOST_VOLUMES and used + gib <= MOST_GIB


def test_the_installation_agrees_with_the_model(world: World) -> None:
    machine = type("Machine", (Installation,), {"world": world})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=12,
            stateful_step_count=10,
            deadline=None,
            phases=(
                Phase.explicit,
                Phase.reuse,
                Phase.generate,
            ),  # a story is told without shrinking
            suppress_health_check=list(HealthCheck),
        ),
    )
