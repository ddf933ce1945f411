"""Messages that no worker could work on: /dead-letters. For administrators."""

from typing import Any

from flask import current_app
from kombu.exceptions import OperationalError as BrokerError
from sqlalchemy import select

from api import links
from api.blueprint import Blueprint
from api.errors import ApiError
from api.filters import equal_to
from api.flows import without_secrets
from api.listing import listed
from api.policy import authorize
from api.schemas.dead_letters import DeadLetterAction, DeadLetterAnswer, DeadLettersAnswer
from db.models import DeadLetter
from db.transactions import reading, writing
from tasks.dead_letters import NotReplayableError, replay
from tasks.engine import Engine

blp = Blueprint("dead-letters", __name__, description="Messages that no worker could work on")

POLICY = "breezeblock:dead_letters"
FILTERS = {"task": DeadLetter.task}
SORTABLE = {
    "id": DeadLetter.id,
    "task": DeadLetter.task,
    "created_at": DeadLetter.created_at,
}


@blp.get("/dead-letters")
@blp.response(200, DeadLettersAnswer)
def list_dead_letters() -> dict[str, Any]:
    """List dead letters, the newest first; filter `task`."""
    authorize(f"{POLICY}:list")
    return listed(
        select(DeadLetter).where(*equal_to(FILTERS)),
        _document,
        collection="dead_letters",
        sortable=SORTABLE,
        find=_find,
        path="dead-letters",
    )


@blp.get("/dead-letters/<letter_id>")
@blp.response(200, DeadLetterAnswer)
def show_dead_letter(letter_id: str) -> dict[str, Any]:
    """Show one with its content, without what may be a secret."""
    authorize(f"{POLICY}:show")
    letter = _find(letter_id)
    return {"dead_letter": {**_document(letter), "message": _content(letter.message)}}


@blp.post("/dead-letters/<letter_id>/action")
@blp.arguments(DeadLetterAction)
@blp.response(202, DeadLetterAnswer)
def act(body: dict[str, Any], letter_id: str) -> dict[str, Any]:
    """Send one to its task and queue again (`replay`); it is a dead letter no more."""
    if "replay" not in body:
        raise ApiError(400, "Exactly one action must be given: replay.")
    authorize(f"{POLICY}:replay")
    engine: Engine = current_app.extensions["breezeblock.engine"]
    letter = _find(letter_id)
    try:
        replay(engine.app, letter)
    except NotReplayableError as error:
        raise ApiError(409, f"Dead letter {letter_id} cannot be sent again: {error}.") from error
    except BrokerError as error:
        raise ApiError(503, "The broker is out of reach: nothing was sent.") from error
    # A death before this line leaves it here: replayed twice, it has one effect.
    _remove(letter_id)
    return {"dead_letter": _document(letter)}


@blp.delete("/dead-letters/<letter_id>")
@blp.response(204)
def drop_dead_letter(letter_id: str) -> None:
    """Throw one away."""
    authorize(f"{POLICY}:drop")
    _find(letter_id)
    _remove(letter_id)


def _remove(letter_id: str) -> None:
    with writing() as tx:
        letter = tx.get(DeadLetter, letter_id)
        if letter is not None:
            tx.delete(letter)


def _find(letter_id: str) -> DeadLetter:
    with reading() as tx:
        letter = tx.get(DeadLetter, letter_id)
    if letter is None:
        raise ApiError(404, f"Dead letter {letter_id} could not be found.")
    return letter


def _document(letter: DeadLetter) -> dict[str, Any]:
    return {
        "id": letter.id,
        "task": letter.task,
        "queue": letter.message.get("queue", ""),
        "reason": letter.reason,
        "created_at": links.time_text(letter.created_at),
    }


def _content(message: dict[str, Any]) -> dict[str, Any]:
    if "args" in message:
        shown: dict[str, Any] = without_secrets(message)
        return shown
    # Nobody knows what is in a body that cannot be read, so it is not shown.
    return {
        "queue": message.get("queue", ""),
        "content_type": message.get("content_type", ""),
        "bytes": len(message.get("body", "").rstrip("=")) * 3 // 4,
    }
