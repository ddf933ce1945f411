"""What happens to snapshots in the database alone."""

from sqlalchemy.orm import Session

from db.models import Snapshot
from db.transitions import (
    AVAILABLE,
    CREATING,
    DELETING,
    ERROR,
    ERROR_DELETING,
    InvalidStatus,
    NotFound,
    locked,
)

_REPORTED = {
    CREATING: frozenset({CREATING, AVAILABLE, ERROR}),
    DELETING: frozenset({DELETING, ERROR_DELETING}),
}
"""What may be said of a snapshot that is made or deleted outside (os-update_snapshot_status)."""


class NotReportable(InvalidStatus):
    """The status is not one that a report may bring about."""

    def __init__(self, message: str, status: str) -> None:
        Exception.__init__(self, message)
        self.status = status


def update_status(tx: Session, snapshot_id: str, status: str, progress: str | None) -> None:
    """Write how far a snapshot has come. Raises NotFound, NotReportable.

    While a flow is at work on it, its status is the flow's to change.
    """
    snapshot = locked(tx, Snapshot, snapshot_id)
    if snapshot is None:
        raise NotFound(f"Snapshot {snapshot_id} could not be found.")
    present = snapshot.status
    if present not in _REPORTED:
        raise NotReportable(
            f"Snapshot status {present} not allowed for update_snapshot_status.", present
        )
    if status not in _REPORTED[present] or (snapshot.flow_id and status != present):
        raise NotReportable(
            f"Provided snapshot status {status} not allowed for snapshot with status {present}.",
            present,
        )
    snapshot.status = status
    if progress is not None:
        snapshot.progress = progress
