"""Who is up: the one rule by which a queue's consumer counts as alive, and the query for it."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from config.routing import node_queue
from db.models import Clock, QueueProbe


def node_is_up(answered_tick: int, tick: int, limit: int) -> bool:
    """Whether a consumer that last answered at `answered_tick` is up at `tick`.

    `limit` is the number of ticks (sweeps) that an answer may be missing. A running process proves
    nothing: only a probe that came out at the far end of the queue does.
    """
    return answered_tick >= tick - limit


@dataclass(frozen=True, slots=True)
class Liveness:
    """The sweeper's clock and the newest answered tick of each queue, as read at one moment."""

    tick: int
    limit: int
    answered: Mapping[str, int]

    def queue_is_up(self, queue: str) -> bool:
        """Whether somebody consumes `queue`; one that was never probed is down."""
        answered = self.answered.get(queue)
        return answered is not None and node_is_up(answered, self.tick, self.limit)

    def host_is_up(self, host: str) -> bool:
        """Whether the node worker of `host` is up; a backend of it is up if its own row is too."""
        return self.queue_is_up(node_queue(host))


def read_liveness(tx: Session, limit: int) -> Liveness:
    """Read clock and probes in one statement; `limit` is `settings.sweeper.node_down_ticks`."""
    rows = tx.execute(
        select(
            QueueProbe.queue,
            QueueProbe.answered_tick,
            select(func.max(Clock.tick)).scalar_subquery().label("tick"),
        )
    ).all()
    tick = (rows[0].tick or 0) if rows else 0
    return Liveness(tick, limit, {row.queue: row.answered_tick for row in rows})
