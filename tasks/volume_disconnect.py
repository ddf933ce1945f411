"""End the connection of a volume to a host that has no attachment, as the older API does.

The volume keeps its status: its client detaches it by another request. The node answers this one,
so admission is the last step; ending a connection twice does no harm, so nothing is undone.
"""

from db import attachments
from tasks.connection import let_be, ordered, take_as_it_is
from tasks.definition import FlowDefinition, NodeOrder, Results, Run

disconnect_volume = FlowDefinition("volume.disconnect", admission="finish")


@disconnect_volume.step()
def extract(run: Run) -> Results:
    """Take the volume; with its node gone for good there is nothing to disconnect."""
    volume = take_as_it_is(run)
    connector = run.flow.payload["connector"]
    return {
        "node": attachments.node_of(run.tx, volume),
        "order": attachments.connection(volume, volume.object_name, connector),
    }


@extract.compensation
def leave(run: Run) -> Results:
    """Let the volume go, as it is."""
    let_be(run)
    return None


@disconnect_volume.node_step()
def disconnect(run: Run) -> NodeOrder | None:
    """Have the node end the connection, if it is still there."""
    return ordered(run, "disconnect") if run.ctx["node"] is not None else None


@disconnect_volume.step()
def finish(run: Run) -> Results:
    """Let the volume go."""
    let_be(run)
    return None
