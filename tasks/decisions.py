"""What becomes of a flow when a step fails: pure decisions, no I/O."""

from dataclasses import dataclass
from enum import StrEnum

from tasks.definition import FlowDefinition


class Failure(StrEnum):
    """How a step ended when it did not succeed."""

    REFUSED = "refused"
    """The request cannot be met; the step changed nothing."""
    BUG = "bug"
    """An error that nobody foresaw, in a control worker; its transaction was rolled back."""
    CLEAN = "clean"
    """A node failed and certainly left nothing."""
    DIRTY = "dirty"
    """A node failed and may have left something."""
    UNKNOWN = "unknown"
    """A node gave no answer."""


class Action(StrEnum):
    """Where a flow goes next."""

    UNDO = "undo"
    """Compensate, and end."""
    RETRY = "retry"
    """Compensate back to the scheduling step, and go forward again from there."""
    PARK = "park"
    """Past the pivot: end for now with a residue, and go on when the node answers."""
    AGAIN = "again"
    """The same step again, when the sweeper finds that it is time."""
    PROCEED = "proceed"
    """While undoing: leave a residue, and go on with the next compensation."""


@dataclass(frozen=True, slots=True)
class Decision:
    """An action, and what is done about the place where the failure happened."""

    action: Action
    floor: int = 0
    """Compensations run down to this position."""
    compensate_here: bool = False
    """The failed step may have left something, and its node can still be asked to remove it."""
    residue: bool = False
    """The failed step may have left something, and its node does not answer."""


def decide(
    definition: FlowDefinition,
    position: int,
    failure: Failure,
    *,
    undoing: bool,
    attempt: int,
    max_attempts: int,
) -> Decision:
    """What follows when the step (while undoing: the compensation) at `position` failed.

    `attempt` counts from 1. A clean failure leaves nothing to compensate at the step itself.
    """
    step = definition.steps[position]
    if undoing:
        return Decision(Action.PROCEED, residue=True) if step.on_node else Decision(Action.AGAIN)
    pivot = definition.index(definition.pivot)
    untouched = position == pivot and failure is Failure.CLEAN and definition.undo_clean_pivot
    if pivot is not None and position >= pivot and not untouched:
        return Decision(Action.PARK, residue=True) if step.on_node else Decision(Action.AGAIN)
    here = failure is Failure.DIRTY and step.on_node
    residue = failure is Failure.UNKNOWN and step.on_node
    retry_from = definition.index(definition.retry_from)
    if step.on_node and retry_from is not None and attempt < max_attempts:
        return Decision(Action.RETRY, retry_from, here, residue)
    return Decision(Action.UNDO, 0, here, residue)


def resend_due(tick: int, last: int, resends: int, grace: int, most: int) -> bool:
    """Whether a flow without progress since tick `last` is to be sent again at `tick`.

    The wait doubles with every resend, from `grace` ticks up to `most`.
    """
    wait = min(grace << min(resends, 16), max(most, grace))
    return tick - last >= wait
