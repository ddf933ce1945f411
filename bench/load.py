"""A load of requests on the API: creates with a number of clients, and one that polls the list."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from bench.lab import as_admin

ENDS = ("available", "error")


@dataclass
class Outcome:
    """Times in seconds: of each POST until its 202, and from its start until it was seen ended."""

    accepted: list[float] = field(default_factory=list)
    ended: dict[str, float] = field(default_factory=dict)
    statuses: dict[str, str] = field(default_factory=dict)
    refused: dict[int, int] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def available_per_s(self) -> float:
        """Volumes that became available, a second, from the first POST to the last one seen."""
        good = sum(1 for status in self.statuses.values() if status == "available")
        return good / self.seconds if self.seconds else 0.0


async def create(
    api: str,
    volumes: int,
    clients: int,
    poll: float = 1.0,
    project: str = "bench",
    limit: float = 300.0,
) -> Outcome:
    """POST `volumes` with `clients` at a time; a poller lists the project every `poll` seconds."""
    outcome, born = Outcome(), {}
    base = f"{api}/v3/{project}"
    waiting = iter(range(volumes))
    began = time.perf_counter()
    async with aiohttp.ClientSession(headers=as_admin(project)) as session:

        async def client() -> None:
            for number in waiting:
                body = {"volume": {"size": 1, "name": f"load-{number}"}}
                start = time.perf_counter()
                async with session.post(f"{base}/volumes", json=body) as answer:
                    content: Any = await answer.json()
                if answer.status == 202:
                    outcome.accepted.append(time.perf_counter() - start)
                    born[content["volume"]["id"]] = start
                else:
                    outcome.refused[answer.status] = outcome.refused.get(answer.status, 0) + 1

        posting = asyncio.gather(*(client() for _ in range(clients)))
        while time.perf_counter() - began < limit:
            listed = time.perf_counter()
            for volume_id, status in (await _list(session, base)).items():
                if volume_id in born and volume_id not in outcome.ended and status in ENDS:
                    now = time.perf_counter()
                    outcome.ended[volume_id] = now - born[volume_id]
                    outcome.statuses[volume_id] = status
                    outcome.seconds = now - began
            if posting.done() and len(outcome.ended) == len(born):
                break
            await asyncio.sleep(max(0.0, poll - (time.perf_counter() - listed)))
        await posting
    return outcome


async def _list(session: aiohttp.ClientSession, base: str) -> dict[str, str]:
    found: dict[str, str] = {}
    marker = ""
    while True:
        url = f"{base}/volumes/detail?limit=1000{marker}"
        async with session.get(url) as answer:
            volumes = (await answer.json())["volumes"]
        found |= {volume["id"]: volume["status"] for volume in volumes}
        if len(volumes) < 1000:
            return found
        marker = f"&marker={volumes[-1]['id']}"
