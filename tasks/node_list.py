"""Ask a node what one of its back ends holds that could be managed; the request waits for it.

The flow owns nothing and changes nothing, so there is nothing to undo.
"""

from tasks.definition import FlowDefinition, NodeOrder, Results, Run
from tasks.manageable import managing_pool, placed_in
from tasks.message import Operation

ask_node = FlowDefinition("node", admission="finish")


@ask_node.step()
def extract(run: Run) -> Results:
    """Find the back end, which must be up and able to manage."""
    return placed_in(managing_pool(run, run.flow.payload["host"], of_several=True))


@ask_node.node_step()
def list_manageable(run: Run) -> NodeOrder:
    """Have the node list them."""
    op: Operation = {
        "verb": "list_manageable",
        "backend": run.ctx["backend"],
        "pool": run.ctx["pool"],
        "object": "",
        "volume_id": "",
        "size_gib": 0,
        "spec": {},
        "what": run.flow.payload["what"],
    }
    return NodeOrder(run.ctx["node"], op)


@ask_node.step()
def finish(run: Run) -> Results:
    """What the node has answered is in the journal now."""
    del run
    return None
