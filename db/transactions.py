"""Units of work: leaving a block without an error commits, anything else rolls back."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

from db import db

T = TypeVar("T")

SERIALIZATION_FAILURE = "40001"
DEADLOCK_DETECTED = "40P01"
_CHANGED = "breezeblock.changed"
_ALONG = "breezeblock.along"


@contextmanager
def writing() -> Iterator[Session]:
    """A short transaction that changes something."""
    session: Session = db.session()
    session.rollback()  # whatever was only read before must not widen this transaction
    with session.begin():
        yield session
        if (work := session.info.get(_ALONG)) is not None:
            work(session)
        session.info[_CHANGED] = True


def along(work: Callable[[Session], None] | None) -> None:
    """Have `work` done at the end of each transaction of this request that changes something.

    Part of the transaction: what it raises undoes the rest. None ends it.
    """
    db.session().info[_ALONG] = work


def may_have_changed() -> bool:
    """Whether a transaction of this request or task has come as far as its commit."""
    return bool(db.session().info.get(_CHANGED))


@contextmanager
def reading() -> Iterator[Session]:
    """A transaction that only reads: on SQLite it waits for no writer."""
    session: Session = db.session()
    session.rollback()
    with session.begin():
        session.connection(execution_options={"read_only": True})
        yield session


def is_transient(error: BaseException) -> bool:
    """Whether the same transaction may succeed when it is tried again."""
    if isinstance(error, PoolTimeout | OperationalError):
        return True
    if isinstance(error, DBAPIError):
        state = getattr(error.orig, "sqlstate", None)
        return error.connection_invalidated or state in (SERIALIZATION_FAILURE, DEADLOCK_DETECTED)
    return False


def retrying(work: Callable[[], T], seconds: float = 5.0) -> T:
    """Run `work`, a whole transaction, again while the database has a passing trouble.

    Gives up after `seconds` with the last error; the sweeper then has the flow.
    """
    for attempt in Retrying(
        retry=retry_if_exception(is_transient),
        stop=stop_after_delay(seconds),
        wait=wait_random_exponential(multiplier=0.02, max=1.0),
        reraise=True,
    ):
        with attempt:
            return work()
    raise AssertionError("unreachable: tenacity returns or raises")
