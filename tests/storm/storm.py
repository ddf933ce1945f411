"""One storm from its beginning to the count."""

import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import Protocol

from tests.storm.clients import Client, Diary, crowd
from tests.storm.site import APIS, Site
from tests.storm.verdict import audited, census, violations

CLIENTS = 8


class Weather(Protocol):
    """What happens while the clients are at work."""

    log: list[str]
    counts: Counter[str]

    def rage(self) -> None:
        """Let it happen; when this returns, no more does."""


@dataclass(frozen=True, slots=True)
class Report:
    """What was done, what the clients were told, and what was found in the end.

    `settled_seconds` is from the last fault until nothing was under way any more.
    """

    seed: int
    log: list[str]
    blows: Counter[str]
    answers: Counter[str]
    words: Counter[str]
    census: dict[str, int]
    settled_seconds: float
    wrong: list[str]

    def lines(self) -> list[str]:
        """The report for people."""
        return [
            f"seed {self.seed}",
            f"blows: {_shown(self.blows)}",
            f"answers: {_shown(self.answers)}",
            f"requests: {_shown(self.words)}",
            f"in the end: {_shown(self.census)}",
            f"quiet {self.settled_seconds:.1f} s after the last fault",
            *(f"WRONG: {line}" for line in self.wrong),
        ]


def storm(site: Site, seed: int, weather: Weather, *, limit: float = 60.0) -> Report:
    """Storm, then wait at most `limit` seconds for the quiet, and count. The site must be new."""
    diary, stop = Diary(), threading.Event()
    urls = [site.stack.url_of(api) for api in APIS]

    def client(number: int, project: str, volumes: dict[str, int]) -> Client:
        return Client(number, seed, urls, project, volumes, diary, stop)

    clients, _ = crowd(CLIENTS, client)
    for thread in clients:
        thread.start()
    weather.rage()
    began = time.monotonic()
    stop.set()
    site.stack.heal()
    for thread in clients:
        thread.join(60)
    wrong = [f"{thread.name} hangs" for thread in clients if thread.is_alive()]
    wrong += _settle(site, max(5.0, limit - (time.monotonic() - began)))
    settled = time.monotonic() - began
    wrong += [*violations(site.truth, diary), *audited(site.stack)]
    return Report(
        seed,
        weather.log,
        weather.counts,
        diary.answers,
        diary.words(),
        census(site.truth),
        settled,
        wrong,
    )


def _settle(site: Site, limit: float) -> list[str]:
    try:
        site.truth.settled(limit)
    except AssertionError as error:
        return str(error).splitlines()
    return []


def _shown(counts: Counter[str] | dict[str, int]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in sorted(counts.items()))
