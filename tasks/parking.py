"""A resource while its flow is parked: past the pivot, with the node out of reach."""

from dataclasses import dataclass

from db.models import OWNABLE
from db.transitions import let_go, locked, owned
from tasks.definition import Run


@dataclass(frozen=True, slots=True)
class StatusParking:
    """The flow's resource is `parked` while it waits, and `working` again when the flow goes on."""

    parked: str
    working: str

    def park(self, run: Run) -> None:
        """Let go of the resource, so that others may take it meanwhile."""
        resource = owned(run.tx, OWNABLE[run.flow.noun], run.flow)
        if resource is not None:
            let_go(resource, self.parked)

    def resume(self, run: Run) -> bool:
        """Take the resource again; False when something else has taken it."""
        resource = locked(run.tx, OWNABLE[run.flow.noun], run.flow.resource_id)
        if resource is None or resource.flow_id is not None or resource.status != self.parked:
            return False
        resource.status, resource.flow_id = self.working, run.flow.id
        return True
