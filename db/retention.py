"""Retention: what has ended long ago is removed, in batches that hold no lock for long."""

from datetime import timedelta
from typing import Any

from sqlalchemy import delete, select

from db.models import (
    DeadLetter,
    Flow,
    IdempotencyKey,
    Residue,
    Transfer,
    UserMessage,
    utcnow,
)
from db.transactions import writing

BATCH = 500
MOST_BATCHES = 20
"""Batches in one run; the next one goes on."""


def purge(keep: timedelta) -> int:
    """Remove flows that ended, with their journals, and dead letters, older than `keep`.

    Accepted transfers go with them; idempotency keys and messages when they expire. A parked flow
    stays as long as its residue. Returns the number of rows removed, journal lines not counted.
    """
    before = utcnow() - keep
    parked = select(Residue.flow_id)
    old_flows = select(Flow.id).where(Flow.finished_at < before, Flow.id.not_in(parked))
    return (
        _in_batches(Flow, Flow.id, old_flows)
        + _in_batches(
            DeadLetter, DeadLetter.id, select(DeadLetter.id).where(DeadLetter.created_at < before)
        )
        + _in_batches(
            Transfer,
            Transfer.id,
            select(Transfer.id).where(Transfer.accepted, Transfer.updated_at < before),
        )
        + _in_batches(
            UserMessage,
            UserMessage.id,
            select(UserMessage.id).where(UserMessage.expires_at < utcnow()),
        )
        + _in_batches(
            IdempotencyKey,
            IdempotencyKey.key,
            select(IdempotencyKey.key).where(IdempotencyKey.expires_at < utcnow()),
            IdempotencyKey.expires_at < utcnow(),
        )
    )


def _in_batches(model: Any, key: Any, old: Any, *also: Any) -> int:
    removed = 0
    for _ in range(MOST_BATCHES):
        with writing() as tx:
            keys = list(tx.scalars(old.limit(BATCH)))
            if keys:
                tx.execute(
                    delete(model)
                    .where(key.in_(keys), *also)
                    .execution_options(synchronize_session=False)
                )
        removed += len(keys)
        if len(keys) < BATCH:
            break
    return removed
