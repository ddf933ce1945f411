"""Connect a volume to a host without an attachment, which is the way of the older API.

The volume keeps its status; it is this flow's only while its node works. The request is answered by
the node, so admission is the last step.
"""

from tasks.connection import access, let_be, ordered, placed, take_as_it_is
from tasks.definition import FlowDefinition, NodeOrder, Results, Run

connect_volume = FlowDefinition("volume.connect", admission="finish")


@connect_volume.step()
def extract(run: Run) -> Results:
    """Take the volume, and see how it may be used."""
    volume = take_as_it_is(run)
    connector = run.flow.payload["connector"]
    mode = "ro" if volume.readonly else connector.get("mode") or "rw"
    return {
        "access": access(run, volume, mode),
        **placed(run, volume, volume.object_name, connector, mode),
    }


@extract.compensation
def leave(run: Run) -> Results:
    """Let the volume go, as it is."""
    let_be(run)
    return None


@connect_volume.node_step()
def connect(run: Run) -> NodeOrder:
    """Have the node export the volume to the connector's host."""
    return ordered(run, "connect")


@connect.node_compensation
def disconnect(run: Run) -> NodeOrder:
    """End the connection of that host."""
    return ordered(run, "disconnect")


@connect_volume.step()
def finish(run: Run) -> Results:
    """Leave the node's answer with the request, where the API has it from."""
    found = run.ctx["connection_info"]
    shown = {**found, "data": {**found["data"], **run.ctx["access"]}}
    run.flow.payload = {**run.flow.payload, "answer": {"connection_info": shown}}
    let_be(run)
    return None
