"""What becomes of a flow when a step fails, and when one is sent again: tables."""

import pytest

from tasks.decisions import Action, Decision, Failure, decide, resend_due
from tasks.definition import FlowDefinition
from tasks.volume_create import create_volume
from tasks.volume_delete import delete_volume
from tasks.volume_extend import extend_volume

CREATE, DELETE, EXTEND = create_volume, delete_volume, extend_volume
UNDO, SCHEDULE = Decision(Action.UNDO), 4


@pytest.mark.parametrize(
    ("flow", "step", "failure", "attempt", "expected"),
    [
        (CREATE, "extract", Failure.REFUSED, 1, UNDO),
        (CREATE, "quota_commit", Failure.BUG, 1, UNDO),
        (CREATE, "schedule", Failure.REFUSED, 2, UNDO),
        (CREATE, "create", Failure.CLEAN, 1, Decision(Action.RETRY, SCHEDULE)),
        (CREATE, "create", Failure.DIRTY, 2, Decision(Action.RETRY, SCHEDULE, True)),
        (CREATE, "create", Failure.UNKNOWN, 1, Decision(Action.RETRY, SCHEDULE, residue=True)),
        (CREATE, "create", Failure.CLEAN, 3, UNDO),
        (CREATE, "create", Failure.DIRTY, 3, Decision(Action.UNDO, 0, True)),
        (CREATE, "create", Failure.UNKNOWN, 3, Decision(Action.UNDO, residue=True)),
        (CREATE, "finish", Failure.BUG, 1, UNDO),
        (DELETE, "extract", Failure.REFUSED, 1, UNDO),
        (DELETE, "destroy", Failure.CLEAN, 1, Decision(Action.PARK, residue=True)),
        (DELETE, "destroy", Failure.UNKNOWN, 1, Decision(Action.PARK, residue=True)),
        (DELETE, "finish", Failure.BUG, 1, Decision(Action.AGAIN)),
        (EXTEND, "claim", Failure.REFUSED, 1, UNDO),
        (EXTEND, "extend", Failure.CLEAN, 1, UNDO),
        (EXTEND, "extend", Failure.DIRTY, 1, Decision(Action.PARK, residue=True)),
        (EXTEND, "finish", Failure.BUG, 1, Decision(Action.AGAIN)),
    ],
)
def test_a_step_failed(
    flow: FlowDefinition, step: str, failure: Failure, attempt: int, expected: Decision
) -> None:
    position = flow.index(step)
    assert position is not None
    found = decide(flow, position, failure, undoing=False, attempt=attempt, max_attempts=3)
    assert found == expected


@pytest.mark.parametrize("failure", list(Failure))
def test_a_compensation_that_fails_never_stops_the_undo(failure: Failure) -> None:
    for step in CREATE.steps:
        found = decide(CREATE, step.index, failure, undoing=True, attempt=3, max_attempts=3)
        proceeds = Decision(Action.PROCEED, residue=True)
        assert found == (proceeds if step.on_node else Decision(Action.AGAIN))


@pytest.mark.parametrize(
    ("waited", "resends", "due"),
    [
        (1, 0, False),
        (2, 0, True),
        (3, 1, False),
        (4, 1, True),
        (7, 2, False),
        (8, 2, True),
        (14, 3, False),
        (15, 3, True),  # the wait doubles up to the most
        (14, 1000, False),
        (15, 1000, True),
    ],
)
def test_sending_again_backs_off(waited: int, resends: int, due: bool) -> None:
    assert resend_due(100 + waited, 100, resends, grace=2, most=15) is due


def test_the_most_is_never_below_the_grace() -> None:
    assert not resend_due(104, 100, 9, grace=5, most=3)
    assert resend_due(105, 100, 9, grace=5, most=3)
