"""The database is away for long under load, or gives out too few connections for all."""

import time
from collections import Counter
from pathlib import Path

import pytest

from tests.storm.site import Site, running_site
from tests.storm.storm import Report, storm

SEED = 4
LOAD_SECONDS, AWAY_SECONDS = 5.0, 20.0
FEW_CONNECTIONS = 9
"""Less than two APIs, two control, two scheduler and two events workers want under load."""


class Away:
    """PostgreSQL refuses connections for a while in the middle of the load."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.log: list[str] = []
        self.counts: Counter[str] = Counter(outages=1)

    def rage(self) -> None:
        time.sleep(LOAD_SECONDS)
        self._site.server.stop()
        time.sleep(AWAY_SECONDS)
        self._site.server.start()
        time.sleep(LOAD_SECONDS)


class Load:
    """Nothing happens but the clients' work."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.counts: Counter[str] = Counter()

    def rage(self) -> None:
        time.sleep(4 * LOAD_SECONDS)


def told(report: Report) -> set[str]:
    """Every kind of answer that there was."""
    return {name.partition(" ")[2] for name in report.answers}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_it_refuses_connections_for_twenty_seconds(tmp_path: Path) -> None:
    with running_site(tmp_path) as site:
        report = storm(site, SEED, Away(site), limit=60)
    text = "\n".join(report.lines())
    assert not report.wrong, text
    assert "503" in told(report), text
    assert report.words["volume.create done"] > 5, text


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_it_runs_out_of_connections(tmp_path: Path) -> None:
    with running_site(tmp_path, connections=FEW_CONNECTIONS) as site:
        report = storm(site, SEED, Load(), limit=60)
        refused = [name for name in site.stack.core if "too many connections" in tail(site, name)]
    text = "\n".join([*report.lines(), f"refused a connection: {refused}"])
    assert not report.wrong, text
    assert refused, text
    assert report.words["volume.create done"] > 5, text


def tail(site: Site, name: str) -> str:
    return site.stack.tail(name, 1_000_000)
