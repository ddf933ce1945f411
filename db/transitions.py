"""Statuses, the table of transitions between them, and the compare-and-set that enforces it.

A status changes only here and in the flow that owns the row: a flow takes a resource by one of the
`TRANSITIONS`, works on it as its owner, and lets go of it with the status that its end calls for.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from db import holds
from db.models import OWNABLE, Backend, Flow, Ownable, Pool, Snapshot, Volume, utcnow

R = TypeVar("R", bound=Ownable)

CREATING = "creating"
"""A flow is making it."""
AVAILABLE = "available"
"""Ready, attached to nothing."""
IN_USE = "in-use"
"""Attached."""
DELETING = "deleting"
"""A flow is removing it."""
EXTENDING = "extending"
"""A flow is growing it."""
RESERVED = "reserved"
"""Of a volume and of an attachment: kept for one that is not connected yet."""
ATTACHING = "attaching"
"""Connected, or about to be, but not reported as attached."""
ATTACHED = "attached"
"""An attachment, or a volume's attach_status: a host uses it."""
DETACHING = "detaching"
"""About to be taken from its host."""
DETACHED = "detached"
"""A volume's attach_status: no host has it."""
ERROR_ATTACHING = "error_attaching"
"""An attachment: could not be connected."""
ERROR_DETACHING = "error_detaching"
"""An attachment: could not be disconnected yet; the flow goes on when its node answers."""
REVERTING = "reverting"
"""A flow is giving it back what a snapshot has of it."""
RESTORING = "restoring"
"""A snapshot: a flow is giving its volume back what it has."""
ERROR = "error"
"""Could not be made, or what it holds is not to be relied on."""
ERROR_DELETING = "error_deleting"
"""Could not be removed yet; the flow goes on when its node answers."""
ERROR_EXTENDING = "error_extending"
"""Could not be grown; the size is what it was."""

MANAGING = "managing"
"""A flow is taking it over from storage that was there before."""
ERROR_MANAGING = "error_managing"
"""Could not be taken over; what is on the storage is what it was."""
UNMANAGING = "unmanaging"
"""A flow is giving it up: it stays on the storage, and is ours no more."""
ERROR_UNMANAGING = "error_unmanaging"
"""Could not be given up yet; the flow goes on when its node answers."""
RETYPING = "retyping"
"""A flow is giving it another type."""

AWAITING_TRANSFER = "awaiting-transfer"
"""Offered to another project."""

SETTABLE = (
    "creating",
    "available",
    "deleting",
    "error",
    "error_deleting",
    "error_managing",
    "managing",
    "attaching",
    "detaching",
    "in-use",
    "maintenance",
    "reserved",
    "awaiting-transfer",
    "error_extending",
)
"""What an administrator may set a volume to (os-reset_status)."""

STANDINGS = (AVAILABLE, RESERVED, ATTACHING, IN_USE, DETACHING)
"""The statuses of a volume that say how it is attached, and nothing else."""

SNAPSHOT_SETTABLE = (
    "creating",
    "available",
    "deleting",
    "error",
    "error_deleting",
    "updating",
    "unmanaging",
    "backing-up",
    "restoring",
    "deleted",
)
"""What an administrator may set a snapshot to (os-reset_status)."""

ANY = "*"


@dataclass(frozen=True, slots=True)
class Transition:
    """Taking a resource for a flow: from one of `allowed` to `status`, where ANY keeps its own."""

    allowed: frozenset[str]
    status: str

    def permits(self, status: str) -> bool:
        """Whether a resource in `status` may be taken."""
        return ANY in self.allowed or status in self.allowed


TRANSITIONS: dict[str, Transition] = {
    # by resource and what is done to it
    "volume.delete": Transition(
        frozenset(
            {AVAILABLE, ERROR, ERROR_DELETING, ERROR_EXTENDING, "error_restoring", ERROR_MANAGING}
            | {ERROR_UNMANAGING}
        ),
        DELETING,
    ),
    "volume.force_delete": Transition(frozenset({ANY}), DELETING),
    "volume.extend": Transition(frozenset({AVAILABLE}), EXTENDING),
    "volume.extend_attached": Transition(frozenset({IN_USE}), EXTENDING),
    "volume.connect": Transition(frozenset(STANDINGS), ANY),
    "volume.disconnect": Transition(frozenset({*STANDINGS, ERROR, ERROR_EXTENDING}), ANY),
    "attachment.connect": Transition(frozenset({RESERVED, ATTACHING, ERROR_ATTACHING}), ATTACHING),
    "attachment.disconnect": Transition(frozenset({ANY}), DETACHING),
    "volume.unmanage": Transition(
        frozenset({AVAILABLE, ERROR, ERROR_EXTENDING, ERROR_MANAGING, ERROR_UNMANAGING}),
        UNMANAGING,
    ),
    "volume.retype": Transition(frozenset({AVAILABLE, IN_USE}), RETYPING),
    "volume.transfer": Transition(frozenset({AVAILABLE}), AWAITING_TRANSFER),
    "volume.revert": Transition(frozenset({AVAILABLE}), REVERTING),
    "snapshot.delete": Transition(
        frozenset({AVAILABLE, ERROR, ERROR_DELETING, ERROR_MANAGING, ERROR_UNMANAGING}), DELETING
    ),
    "snapshot.unmanage": Transition(
        frozenset({AVAILABLE, ERROR, ERROR_MANAGING, ERROR_UNMANAGING}), UNMANAGING
    ),
    "snapshot.force_delete": Transition(frozenset({ANY}), DELETING),
    "group.delete": Transition(frozenset({AVAILABLE, ERROR, ERROR_DELETING}), DELETING),
    "group_snapshot.delete": Transition(frozenset({AVAILABLE, ERROR, ERROR_DELETING}), DELETING),
}


CHANGES_BACKEND = frozenset({"delete", "force_delete", "extend", "revert", "retype", "unmanage"})
"""What is not done on a frozen backend. What has been attached stays so, and may be detached."""


class NotFound(Exception):
    """There is no such resource."""


class NotOwned(Exception):
    """Something has taken the resource away from the flow."""


class InvalidStatus(Exception):
    """The resource's status, or a flow that is working on it, forbids this."""

    def __init__(
        self,
        resource_id: str,
        action: str,
        status: str,
        allowed: frozenset[str],
        noun: str = "volume",
    ) -> None:
        wanted = " or ".join(sorted(allowed)) if ANY not in allowed else "any, with no flow at work"
        super().__init__(
            f"Invalid {noun}: {noun} {resource_id} cannot be taken for {action}: its status is "
            f"'{status}', and it must be {wanted}."
        )
        self.status = status


class BeingDestroyed(InvalidStatus):
    """What a flow has begun to destroy or to write over is declared usable."""

    def __init__(self, resource_id: str, status: str, noun: str = "volume") -> None:
        Exception.__init__(
            self,
            f"Invalid {noun}: what is done to {noun} {resource_id} (status '{status}') cannot be "
            "undone; it can be set to error.",
        )
        self.status = status


class Held(InvalidStatus):
    """A running flow refers to the resource, which must stay as it is until that has ended."""

    def __init__(self, resource_id: str, verb: str, status: str, noun: str, holder: str) -> None:
        Exception.__init__(
            self,
            f"Invalid {noun}: {noun} {resource_id} cannot be taken for {verb}: a running {holder} "
            "needs it as it is.",
        )
        self.status = status


class Frozen(InvalidStatus):
    """The backend that has the resource is frozen: nothing there is changed."""

    def __init__(self, resource_id: str, verb: str, status: str, noun: str, backend: str) -> None:
        Exception.__init__(
            self,
            f"Invalid {noun}: {noun} {resource_id} cannot be taken for {verb}: its backend "
            f"{backend} is frozen.",
        )
        self.status = status


def refuse_frozen(
    tx: Session, pool_id: int | None, resource_id: str, verb: str, status: str, noun: str
) -> None:
    """Raise Frozen if the pool is one of a frozen backend."""
    frozen = (
        select(Backend.name)
        .join(Pool, Pool.backend == Backend.name)
        .where(Pool.id == pool_id, Backend.frozen.is_(True))
    )
    backend = tx.scalar(frozen) if pool_id is not None else None
    if backend is not None:
        raise Frozen(resource_id, verb, status, noun, backend)


def take(tx: Session, model: type[R], resource_id: str, action: str, flow: Flow) -> tuple[R, str]:
    """Make `flow` the owner of a resource; returns it with the status that it had.

    `action` is a key of `TRANSITIONS`. The epochs of flow and resource become one number above
    both, so a message of any earlier flow or attempt is recognised as old, on the node too. Raises
    NotFound or InvalidStatus; of that Held while another flow holds the resource, and Frozen for
    what changes a backend that an administrator has frozen.
    """
    noun, _, verb = action.partition(".")
    found = locked(tx, model, resource_id)
    if found is None:
        raise NotFound(f"{noun.capitalize()} {resource_id} could not be found.")
    transition = TRANSITIONS[action]
    if found.flow_id not in (None, flow.id) or not transition.permits(found.status):
        raise InvalidStatus(resource_id, verb, found.status, transition.allowed, noun)
    if isinstance(found, Volume | Snapshot) and verb in CHANGES_BACKEND:
        refuse_frozen(tx, found.pool_id, resource_id, verb, found.status, noun)
    previous = found.status
    if transition.status != ANY:  # else it stays as whoever holds it needs it
        holder = holds.of_others(tx, resource_id, flow)
        if holder is not None:
            raise Held(resource_id, verb, found.status, noun, holder)
        found.status = transition.status
    found.flow_id = flow.id
    found.epoch = flow.epoch = max(flow.epoch, found.epoch) + 1
    return found, previous


def locked(tx: Session, model: type[R], resource_id: str) -> R | None:
    """The resource as it is now, locked; None if there is none."""
    return tx.scalars(
        select(model)
        .where(model.id == resource_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).first()


def owned(tx: Session, model: type[R], flow: Flow) -> R | None:
    """The resource that `flow` owns, locked; None once something took it away."""
    return tx.scalars(
        select(model)
        .where(model.id == flow.resource_id, model.flow_id == flow.id)
        .with_for_update()
    ).first()


def change_owned(tx: Session, flow: Flow, **columns: Any) -> None:
    """Write columns of the resource that `flow` owns, unread. Raises NotOwned."""
    values = {f"new_{name}": value for name, value in columns.items()} | {
        "new_updated_at": utcnow()
    }
    owner = {"of_resource": flow.resource_id, "of_flow": flow.id}
    if tx.execute(_change(flow.noun, tuple(columns)), owner | values).first() is None:
        raise NotOwned(f"{flow.noun.capitalize()} {flow.resource_id} is no longer this flow's.")


@cache
def _change(noun: str, columns: tuple[str, ...]) -> Any:
    table: Any = OWNABLE[noun].__table__
    return (
        table.update()
        .where(table.c.id == bindparam("of_resource"), table.c.flow_id == bindparam("of_flow"))
        .values(
            {
                name: bindparam(f"new_{name}", type_=table.c[name].type)
                for name in (*columns, "updated_at")
            }
        )
        .returning(table.c.id)
    )


def let_go(resource: Ownable, status: str) -> None:
    """End a flow's ownership with the status that its end calls for."""
    resource.status, resource.flow_id = status, None
