"""Signs of life of operations that take long: a copy that moves bytes does not hang."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from drivers.progress import watched
from tasks.node.ledger import Running, Work

_Key = tuple[str, int, str]


class Progress:
    """When each operation of this process last moved something. Thread-safe."""

    def __init__(self) -> None:
        self._moved: dict[_Key, float] = {}

    @contextmanager
    def of(self, work: Work) -> Iterator[None]:
        """Watch the driver's call in the block, which does `work`."""
        key = (work.object, work.epoch, work.task)

        def moved(_: int) -> None:
            self._moved[key] = time.monotonic()

        try:
            with watched(moved):
                yield
        finally:
            self._moved.pop(key, None)

    def idle(self, run: Running) -> float:
        """Seconds since the operation began or last moved something."""
        moved = self._moved.get((run.object, run.epoch, run.task))
        return run.seconds if moved is None else min(run.seconds, time.monotonic() - moved)
