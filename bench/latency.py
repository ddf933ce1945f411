"""One volume at a time on the embedded stack: POST until 202, and until `available`.

    python -m bench.latency [--volumes 100]

SQLite, the broker from the wheel, two nodes with the file driver, Flower running: what `make up`
gives. A client asks for the volume every 2 ms until it is available.
"""

import json
import statistics
import time
from pathlib import Path

import click
import requests

from bench.lab import Lab, as_admin, service, stop_on_interrupt

RESULTS = Path(__file__).parent / "results"
POLL_SECONDS = 0.002


@click.command()
@click.option("--volumes", default=100, show_default=True)
def main(volumes: int) -> None:
    """Print p50 and p95, in ms."""
    stop_on_interrupt()
    with service(backends="", flower=True) as lab:
        _one_by_one(lab, 10)  # warm
        accepted, available = _one_by_one(lab, volumes)
    result = {
        name: {"p50_ms": _quantile(times, 50), "p95_ms": _quantile(times, 95)}
        for name, times in (("accepted", accepted), ("available", available))
    }
    for name, figures in result.items():
        click.echo(f"{name}: p50 {figures['p50_ms']:.1f} ms, p95 {figures['p95_ms']:.1f} ms")
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "latency.json").write_text(json.dumps({"volumes": volumes, **result}, indent=1))


def _one_by_one(lab: Lab, volumes: int) -> tuple[list[float], list[float]]:
    """Seconds until the 202 and until available, for each volume; each is deleted again."""
    accepted, available = [], []
    base = f"{lab.api}/v3/bench/volumes"
    with requests.Session() as session:
        session.headers.update(as_admin("bench"))
        for number in range(volumes):
            began = time.perf_counter()
            answer = session.post(base, json={"volume": {"size": 1, "name": f"one-{number}"}})
            answer.raise_for_status()
            accepted.append(time.perf_counter() - began)
            url = f"{base}/{answer.json()['volume']['id']}"
            while session.get(url).json()["volume"]["status"] != "available":
                time.sleep(POLL_SECONDS)
            available.append(time.perf_counter() - began)
            session.delete(url).raise_for_status()
    return accepted, available


def _quantile(times: list[float], percent: int) -> float:
    return statistics.quantiles(times, n=100, method="inclusive")[percent - 1] * 1000


if __name__ == "__main__":
    main()
