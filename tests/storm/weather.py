"""What a storm does: every two seconds something is killed, the broker emptied, PostgreSQL ended.

A supervisor is at work meanwhile: whatever is dead is started again at once.
"""

import contextlib
import random
import shutil
import time
from collections import Counter
from collections.abc import Callable

import psutil

from tests.storm.site import MORE, NODES, Site

PARTS = ("api", "control", "scheduler", "events", "beat", *NODES, *MORE)
CHILDREN = ("control", "control2", "api", "api2")
"""Parts that have processes below them, which are killed by themselves too."""
BROKER = "broker"


class Kills:
    """What it does is in `log`, by seconds since its beginning, and counted in `counts`."""

    def __init__(
        self, site: Site, seed: int, seconds: float, every: float = 2.0, crashes: int = 1
    ) -> None:
        self._site, self._seconds, self._every = site, seconds, every
        self._random = random.Random(f"{seed}-weather")
        self._plan = sorted(
            [(seconds * at, self._empty_the_broker) for at in (0.2, 0.5, 0.8)]
            + [(seconds * (0.4 + 0.25 * n), self._restart(n)) for n in range(crashes)],
            key=lambda entry: entry[0],
        )
        self.log: list[str] = []
        self.counts: Counter[str] = Counter()
        self._began = time.monotonic()

    def rage(self) -> None:
        """Storm; in the main thread, because what another thread has started ends with that."""
        self._began = time.monotonic()
        strike = self._every
        while (now := time.monotonic() - self._began) < self._seconds:
            if self._plan and now >= self._plan[0][0]:
                self._plan.pop(0)[1]()
            elif now >= strike:
                strike = now + self._every
                self._kill_one()
            self._supervise()
            time.sleep(0.1)

    def _note(self, what: str) -> None:
        self.log.append(f"{time.monotonic() - self._began:6.1f} s  {what}")
        self.counts[what] += 1

    def _kill_one(self) -> None:
        stack = self._site.stack
        if self._random.random() < 0.2 and self._kill_a_child(self._random.choice(CHILDREN)):
            return
        # a broker that dies has lost everything too; not so often, or nothing else would matter
        name = BROKER if self._random.random() < 0.05 else self._random.choice(PARTS)
        self._note(f"{name} killed")
        stack.kill(name)

    def _kill_a_child(self, name: str) -> bool:
        part = self._site.stack.running[name]
        with contextlib.suppress(psutil.NoSuchProcess):
            if part.alive and (children := part.below()):
                self._note(f"a child of {name} killed")
                self._random.choice(children).kill()
                return True
        return False

    def _supervise(self) -> None:
        stack = self._site.stack
        for name in stack.core:
            if not stack.is_alive(name):
                if not self.log or name not in self.log[-1]:
                    code = stack.running[name].process.returncode
                    self._note(f"{name} ended by itself ({code})")
                stack.start(name)

    def _empty_the_broker(self) -> None:
        self._note("broker emptied")
        stack = self._site.stack
        if stack.erlang:  # RabbitMQ: all of it, as FLUSHALL is
            stack.kill(BROKER)
            shutil.rmtree(stack.folder / "rabbitmq")
        else:
            stack.redis.flushall()

    def _restart(self, number: int) -> Callable[[], None]:
        def act() -> None:
            immediate = number % 2 == 0
            self._note(f"PostgreSQL restarted{' -m immediate' if immediate else ''}")
            self._site.server.stop(immediate=immediate)
            self._site.server.start()

        return act
