"""What the flows that connect a volume to a host, or disconnect it, share."""

from typing import Any, cast

from db import attachments
from db.models import Volume
from db.transitions import NotFound, let_go, owned, take
from tasks.definition import NodeOrder, Run
from tasks.message import Operation
from tasks.refusals import Refused


def placed(
    run: Run, volume: Volume, name: str, connector: dict[str, Any], mode: str
) -> dict[str, Any]:
    """For the context of a flow: the node that connects `volume` under `name`, and what it is told.

    Raises Refused for a volume that is on no node.
    """
    host = attachments.node_of(run.tx, volume)
    if host is None:
        raise Refused(400, f"Invalid volume: volume {volume.id} is on no storage node.")
    return {"node": host, "order": attachments.connection(volume, name, connector, mode)}


def ordered(run: Run, verb: str) -> NodeOrder:
    """The order to do `verb` with what `placed` has put into the context."""
    return NodeOrder(run.ctx["node"], cast(Operation, {"verb": verb, **run.ctx["order"]}))


def take_as_it_is(run: Run) -> Volume:
    """Take the flow's volume without a change of its status. Raises NotFound or InvalidStatus."""
    volume, _ = take(run.tx, Volume, run.flow.resource_id, run.flow.kind, run.flow)
    if not volume.visible:
        raise NotFound(f"Volume {volume.id} could not be found.")
    return volume


def let_be(run: Run) -> None:
    """Let go of the flow's volume, which has whatever status it has by now."""
    volume = owned(run.tx, Volume, run.flow)
    if volume is not None:
        let_go(volume, volume.status)
