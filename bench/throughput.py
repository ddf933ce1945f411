"""Volumes a second, beside what Celery alone makes of seven tasks, on the same broker in one run.

    python -m bench.throughput [--volumes 500] [--clients 16] [--rounds 5]

PostgreSQL with `synchronous_commit` on, Redis, two nodes with the fake driver. The figure to look
at is the ratio; absolute numbers are the machine's.
"""

import asyncio
import json
import os
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from bench import bare, load
from bench.lab import cpu_seconds, postgresql, redis_server, service, stop_on_interrupt

RESULTS = Path(__file__).parent / "results"


@click.command()
@click.option("--volumes", default=500, show_default=True)
@click.option("--clients", default=16, show_default=True)
@click.option("--rounds", default=5, show_default=True, help="Medians are of so many rounds.")
@click.option("--poll", default=1.0, show_default=True, help="Seconds between two lists.")
def main(volumes: int, clients: int, rounds: int, poll: float) -> None:
    """Print volumes a second, bare chains a second, and their ratio."""
    stop_on_interrupt()
    with TemporaryDirectory(prefix="breezeblock-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        fsync_ms = _fsync_ms(folder)
        with redis_server(folder) as (broker, broker_pid), postgresql(folder) as (database, db_pid):
            runs = []
            for number in range(rounds):
                alone = bare.measure(broker, broker, folder, volumes, 20)
                ours = _round(broker, broker_pid, database, db_pid, volumes, clients, poll)
                runs.append({"bare": alone, "ours": ours})
                click.echo(
                    f"round {number + 1}: {ours['volumes_per_s']:.1f} volumes/s, "
                    f"{alone['chains_per_s']:.1f} bare chains/s, "
                    f"ratio {ours['volumes_per_s'] / alone['chains_per_s']:.2f}, "
                    f"CPU {ours['cpu_ms']:.1f} and {alone['cpu_ms']:.1f} ms"
                )
    ratio = statistics.median(r["ours"]["volumes_per_s"] / r["bare"]["chains_per_s"] for r in runs)
    click.echo(f"median ratio {ratio:.2f} of a bare seven-task chain; fsync {fsync_ms:.2f} ms")
    RESULTS.mkdir(exist_ok=True)
    result = {"ratio": ratio, "fsync_ms": fsync_ms, "volumes": volumes, "clients": clients}
    (RESULTS / "throughput.json").write_text(json.dumps({**result, "rounds": runs}, indent=1))


def _round(
    broker: str,
    broker_pid: int,
    database: str,
    db_pid: int,
    volumes: int,
    clients: int,
    poll: float,
) -> dict[str, float]:
    with service(broker, database) as lab:
        asyncio.run(load.create(lab.api, 50, clients))  # warm
        pids = [*lab.processes.values(), broker_pid, db_pid]
        burned = cpu_seconds(pids)
        outcome = asyncio.run(load.create(lab.api, volumes, clients, poll))
        burned = cpu_seconds(pids) - burned
    if len(outcome.statuses) != volumes or set(outcome.statuses.values()) != {"available"}:
        raise SystemExit(f"not all became available: refused {outcome.refused}")
    return {
        "volumes_per_s": outcome.available_per_s,
        "accepted_p50_ms": statistics.median(outcome.accepted) * 1000,
        "cpu_ms": burned / volumes * 1000,
    }


def _fsync_ms(folder: Path) -> float:
    """The median time of an 8 KiB write with fsync, where the database lies."""
    times = []
    with (folder / "fsync").open("wb", buffering=0) as file:
        for _ in range(100):
            file.write(b"\0" * 8192)
            began = time.perf_counter()
            os.fsync(file.fileno())
            times.append(time.perf_counter() - began)
    return statistics.median(times) * 1000


if __name__ == "__main__":
    main()
