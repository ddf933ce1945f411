"""Lines of the journal for steps that a node has answered, and for steps that failed."""

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from db import journal
from db.models import Flow
from tasks.decisions import Failure
from tasks.message import Reply

NOT_KEPT = frozenset({"connection_info"})
"""What a node answers that only the next step needs, in the message it came with: a driver may have
put a host's secret into it. A flow that loses that message asks its node again."""


def reply_line(
    flow: Flow, seq: int, name: str, reply: Reply, *, undo: bool = False
) -> dict[str, Any]:
    """The line, number `seq`, of a step that a node has done."""
    result = reply.get("result") or {}
    return journal.line(
        flow,
        seq,
        name,
        reply["outcome"],
        undo=undo,
        node=reply.get("node"),
        started=_time(reply.get("started")),
        finished=_time(reply.get("finished")),
        result={key: value for key, value in result.items() if key not in NOT_KEPT},
    )


def write_failure(
    tx: Session,
    flow: Flow,
    name: str,
    failure: Failure,
    error: dict[str, Any],
    host: str | None,
    reply: Reply | None,
    undoing: bool,
) -> None:
    """The line of a step that failed; with a node's reply if it was a node's."""
    journal.write(
        tx,
        flow,
        name,
        failure.value,
        undo=undoing,
        node=host,
        started=_time(reply.get("started")) if reply else None,
        finished=_time(reply.get("finished")) if reply else None,
        error=error,
    )


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text).replace(tzinfo=None) if text else None
