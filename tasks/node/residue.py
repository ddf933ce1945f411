"""Settling what a flow may have left on this node."""

from typing import Any

from celery import Celery, Task

from config.routing import CONTROL
from tasks.message import UnintelligibleError, understood, with_keys
from tasks.node.ledger import Work
from tasks.node.message import operation
from tasks.node.node import Node
from tasks.node.operate import Ended, carry_out
from tasks.node.verbs import VERBS


def register(app: Celery, node: Node) -> None:
    """Register the task on `app`, bound to `node`."""

    @app.task(name="node.settle_residue", bind=True, shared=False)
    def settle_residue(self: Task, message: Any) -> dict[str, Any]:
        """Undo what the residue tells of, if it is there, and answer with `residue.settled`."""
        try:
            body = understood(message, residue=str, epoch=int, ledger=str, op=dict)
            verb = with_keys(body["op"], {"verb": str})["verb"]
            if verb not in VERBS or not VERBS[verb].settles:
                raise UnintelligibleError(f"verb {verb!r} settles nothing")
            op = operation(body["op"], verb)
        except UnintelligibleError as error:
            node.park(self, message, str(error))
            return {"ended": "parked", "reason": str(error)}
        work = Work(
            object=op.object,
            epoch=body["epoch"],
            flow=body["residue"],
            task=self.name,
            op=body["op"],
            destroys=VERBS[verb].destroys,
        )
        answer = carry_out(node, body["ledger"], work, op)
        if isinstance(answer, Ended):
            if answer.how == "busy":
                return {"ended": answer.how, "reason": answer.reason}  # the other one will answer
            # What may be made again under its name was, so there is no leftover any more.
            overtaken = not work.destroys and body["ledger"] == node.ledger.uuid
            answer = {
                "outcome": "done" if overtaken else answer.how,
                "error": {"type": "Stale", "message": answer.reason},
            }
        elif answer["outcome"] != "done":
            # The residue is asked for again as it is, and then must not get this answer again.
            node.ledger.abandon(work)
        settled = {
            "v": 1,
            "residue": body["residue"],
            "node": node.host,
            "outcome": "done" if answer["outcome"] == "done" else "failed",
            "error": answer.get("error"),
        }
        node.send("residue.settled", settled, CONTROL)
        return settled
