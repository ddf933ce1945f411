"""A limit on how many requests a project sends: a bucket of tokens for each, in each process.

It keeps one project from starving the others; it is no quota, so the processes do not tell each
other. A refusal is 413 with Retry-After, as Cinder's was, and not 429: python-cinderclient knows
only 413 as one to try again later.
"""

import math
import time
from collections.abc import Callable
from threading import Lock

from flask import Flask

from api.auth import is_public
from api.context import current
from api.errors import ApiError
from config.settings import ApiSettings

KEPT = 10_000
"""Projects that are remembered; full buckets, which say nothing, are dropped beyond."""


class Buckets:
    """For each name a bucket of `burst` tokens, to which `rate` a second come back."""

    def __init__(
        self, rate: float, burst: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate, self._burst, self._clock = rate, float(burst), clock
        self._levels: dict[str, tuple[float, float]] = {}
        self._lock = Lock()

    def take(self, name: str) -> float:
        """Take a token; 0 if there was one, else the seconds until there is."""
        with self._lock:
            now = self._clock()
            tokens = self._tokens(name, now)
            if tokens < 1:
                return (1 - tokens) / self._rate
            if len(self._levels) >= KEPT:
                self._drop_full(now)
            self._levels[name] = (tokens - 1, now)
            return 0.0

    def _tokens(self, name: str, now: float) -> float:
        tokens, since = self._levels.get(name, (self._burst, now))
        return min(self._burst, tokens + (now - since) * self._rate)

    def _drop_full(self, now: float) -> None:
        full = [name for name in self._levels if self._tokens(name, now) >= self._burst]
        for name in full:
            del self._levels[name]


def install(app: Flask, settings: ApiSettings) -> None:
    """Limit the requests of `app`, where the settings say so; after authentication."""
    if not settings.rate_limit:
        return
    buckets = Buckets(settings.rate_limit, settings.rate_burst)

    @app.before_request
    def _limit() -> None:
        if is_public():
            return
        seconds = buckets.take(current().project_id)
        if seconds:
            raise ApiError(
                413,
                f"Only {settings.rate_limit:g} requests a second are served to a project.",
                {"Retry-After": str(math.ceil(seconds))},
            )
