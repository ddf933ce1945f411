"""A volume while its flow is parked: past the pivot, with the node out of reach."""

from dataclasses import dataclass

from db.models import Volume
from db.transitions import let_go, owned
from tasks.definition import Run


@dataclass(frozen=True, slots=True)
class VolumeParking:
    """The volume is `parked` while it waits, and `working` again when the flow goes on."""

    parked: str
    working: str

    def park(self, run: Run) -> None:
        """Let go of the volume, so that others may take it meanwhile."""
        volume = owned(run.tx, Volume, run.flow)
        if volume is not None:
            let_go(volume, self.parked)

    def resume(self, run: Run) -> bool:
        """Take the volume again; False when something else has taken it."""
        volume = run.tx.get(Volume, run.flow.resource_id, with_for_update=True)
        if volume is None or volume.flow_id is not None or volume.status != self.parked:
            return False
        volume.status, volume.flow_id = self.working, run.flow.id
        return True
