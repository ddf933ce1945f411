"""How a flow is written down: steps in order, each with its compensation beside it.

    create_volume = FlowDefinition("volume.create", admission="quota_commit", retry_from="schedule")

    @create_volume.step()
    def quota_reserve(run: Run) -> Results: ...

    @quota_reserve.compensation
    def quota_release(run: Run) -> Results: ...

Each function becomes a Celery task named `<kind>.<function>`. A control step runs in one
transaction with its line in the journal; what it returns is journalled and handed to the steps
after it. A node step's function only says what the node is asked to do; None skips the step.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from config.routing import CONTROL
from config.settings import Settings
from tasks.message import Operation

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from db.models import Flow

Results = dict[str, Any] | None


@dataclass(slots=True)
class Run:
    """What a step works with: its transaction, the locked flow, and the earlier steps' results."""

    tx: "Session"
    flow: "Flow"
    ctx: Mapping[str, Any]
    settings: Settings
    children: list["Child"] = field(default_factory=list)
    """Flows that a control step begins by adding them here; the flow goes on when all have ended.

    After admission only, since no client can be kept waiting for them.
    """


@dataclass(frozen=True, slots=True)
class Child:
    """A flow that another one begins, in the name of the same user and request."""

    kind: str
    resource_id: str
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class NodeOrder:
    """A node operation and the host that must run it."""

    host: str
    op: Operation


Work = Callable[[Run], Results]
Order = Callable[[Run], NodeOrder | None]


class Parking(Protocol):
    """What becomes of a resource while its flow is parked."""

    def park(self, run: Run) -> None:
        """Let go of it, with the status that tells of the wait."""

    def resume(self, run: Run) -> bool:
        """Take it again; False when something else has it, and the flow will not go on."""


@dataclass(eq=False)
class Step:
    """One step. `do`/`undo` run in a control worker, `order`/`undo_order` are sent to a node."""

    kind: str
    index: int
    name: str
    queue: str | None = None
    do: Work | None = None
    undo: Work | None = None
    order: Order | None = None
    undo_order: Order | None = None
    undo_name: str | None = None

    @property
    def on_node(self) -> bool:
        """Whether a node runs it."""
        return self.order is not None

    @property
    def task(self) -> str:
        """The name of its Celery task."""
        return f"{self.kind}.{self.name}"

    @property
    def undo_task(self) -> str:
        """The name of its compensation's Celery task."""
        return f"{self.kind}.{self.undo_name}"

    def compensation(self, function: Work) -> Work:
        """Decorator: `function` undoes exactly what this step did, in a control worker."""
        self.undo, self.undo_name = function, function.__name__
        return function

    def node_compensation(self, function: Order) -> Order:
        """Decorator: `function` says what the node must do to undo this step."""
        self.undo_order, self.undo_name = function, function.__name__
        return function


@dataclass(eq=False)
class FlowDefinition:
    """A pipeline.

    admission   after this step the request is accepted: no refusal can reach the client
    retry_from  a node step that failed is undone back to this step and tried on another node
    pivot       from this step on the flow goes only forward; without its node it is parked
    undo_clean_pivot  whether the pivot itself, failed with nothing done, is undone, not parked
    parking     what becomes of the resource while the flow is parked
    """

    kind: str
    admission: str
    retry_from: str | None = None
    pivot: str | None = None
    undo_clean_pivot: bool = False
    parking: Parking | None = None
    steps: list[Step] = field(default_factory=list)

    def step(self, queue: str = CONTROL) -> Callable[[Work], Step]:
        """Decorator: the next step, run by a worker of `queue`."""

        def add(function: Work) -> Step:
            return self._append(
                Step(self.kind, len(self.steps), function.__name__, queue, function)
            )

        return add

    def node_step(self) -> Callable[[Order], Step]:
        """Decorator: the next step, run by the node that `function` names."""

        def add(function: Order) -> Step:
            return self._append(Step(self.kind, len(self.steps), function.__name__, order=function))

        return add

    def _append(self, step: Step) -> Step:
        self.steps.append(step)
        return step

    def index(self, name: str | None) -> int | None:
        """The position of a step by name."""
        return next((step.index for step in self.steps if step.name == name), None)

    def is_past_pivot(self, position: int) -> bool:
        """Whether a flow that stands at `position` only goes forward."""
        pivot = self.index(self.pivot)
        return pivot is not None and position >= pivot

    def undoable(self, position: int, floor: int) -> list[Step]:
        """The steps from `position` down to `floor` that have a compensation."""
        steps = reversed(self.steps[floor : position + 1])
        return [step for step in steps if step.undo_name is not None]
