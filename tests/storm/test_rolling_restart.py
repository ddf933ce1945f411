"""Every process is stopped softly and started anew, one after the other: no request fails."""

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import requests

from tests.processes import wait_for
from tests.stack import MICROVERSION
from tests.storm.proxy import proxy
from tests.storm.site import APIS, DEFAULTS, NODES, Site, running_site

CLIENTS = 6
PROJECT = "rolling"
HEADERS = {"X-Auth-Token": f"tester:{PROJECT}", **MICROVERSION}
WORKERS = ("control", "control2", "scheduler", "scheduler2", "events", "events2")


@dataclass
class Load:
    """Clients that create, wait and delete, on connections that they keep."""

    url: str
    stop: threading.Event = field(default_factory=threading.Event)
    created: list[str] = field(default_factory=list)
    deleted: set[str] = field(default_factory=set)
    statuses: dict[str, str] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    answered: int = 0

    def client(self) -> None:
        """One client; it ends with the first request that fails."""
        with requests.Session() as session:
            session.headers.update(HEADERS)
            try:
                while not self.stop.is_set():
                    self._one(session)
            except (requests.RequestException, AssertionError) as error:
                self.failures.append(repr(error))

    def _one(self, session: requests.Session) -> None:
        body = {"volume": {"size": 1}}
        volume = self._ask(session, "POST", "/volumes", 202, body).json()["volume"]["id"]
        self.created.append(volume)
        while not self.stop.wait(0.3):
            shown = self._ask(session, "GET", f"/volumes/{volume}", 200).json()["volume"]
            if shown["status"] != "creating":
                self.statuses[volume] = shown["status"]
                self._ask(session, "DELETE", f"/volumes/{volume}", 202)
                self.deleted.add(volume)
                return

    def _ask(
        self, session: requests.Session, method: str, path: str, wanted: int, body: object = None
    ) -> requests.Response:
        url = f"{self.url}/v3/{PROJECT}{path}"
        answer = session.request(method, url, json=body, timeout=60)
        self.answered += 1
        assert answer.status_code == wanted, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer


@contextlib.contextmanager
def under_load(site: Site) -> Iterator[Load]:
    """Clients at work during the block, through a proxy before both APIs."""
    ports = [int(site.stack.url_of(api).rpartition(":")[2]) for api in APIS]
    with proxy(ports) as port:
        load = Load(f"http://127.0.0.1:{port}")
        threads = [threading.Thread(target=load.client, daemon=True) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        try:
            yield load
        finally:
            load.stop.set()
            for thread in threads:
                thread.join(60)


def serves(site: Site, name: str, before: int) -> bool:
    """Whether a part that was started again does its work."""
    if name in APIS:
        with contextlib.suppress(requests.RequestException):
            return requests.get(site.stack.url_of(name), timeout=5).status_code == 300
        return False
    return site.stack.log(name).read_text().count("worker.ready") > before


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_no_request_fails_and_no_volume_is_lost(tmp_path: Path) -> None:
    settings = {**DEFAULTS, "QUOTA__VOLUMES": "-1", "QUOTA__GIGABYTES": "-1"}
    with running_site(tmp_path, settings=settings) as site, under_load(site) as load:
        stack = site.stack
        wait_for(lambda: load.deleted or load.failures, 60, "the first volumes")
        for name in (*APIS, *WORKERS, *NODES, "beat", "beat2"):
            before = stack.log(name).read_text().count("worker.ready")
            stack.stop(name)
            stack.start(name)
            if not name.startswith("beat"):
                wait_for(lambda n=name, b=before: serves(site, n, b), 60, f"{name} again")  # type: ignore[misc]
            assert not load.failures, f"{name}: {load.failures}"
        time.sleep(1)
        load.stop.set()
        site.truth.settled()
        assert load.failures == []
        assert len(load.deleted) > CLIENTS
        assert set(load.statuses.values()) == {"available"}
        there = {row.id: row.status for row in site.truth.volumes(PROJECT)}
    assert there.keys() == set(load.created) - load.deleted
    assert set(there.values()) <= {"available"}
