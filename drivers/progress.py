"""How a driver says, in the middle of a call that takes long, that it is getting on.

A call that has not done so for `operation_timeout` seconds counts as hung. Whoever calls a driver
may watch; a driver need not know whether anybody does.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Watcher = Callable[[int], None]


def _nobody(_: int) -> None:
    """Without a watcher."""


_watcher: ContextVar[Watcher] = ContextVar("watcher", default=_nobody)


def moved(count: int) -> None:
    """Say that `count` more bytes have been moved; call it when they have, not on a timer."""
    _watcher.get()(count)


@contextmanager
def watched(watcher: Watcher) -> Iterator[None]:
    """Have `watcher` told of what is moved in the block, in this thread."""
    before = _watcher.set(watcher)
    try:
        yield
    finally:
        _watcher.reset(before)
