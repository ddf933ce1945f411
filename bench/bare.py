"""The yardstick: a chain of seven Celery tasks that do nothing, on the same broker.

Acknowledged late, no results, two prefork children, warmed up: what Celery itself takes for a
pipeline of that length, so the most that a service built on it can reach.
"""

import os
import statistics
import sys
import time
from pathlib import Path

import redis
from celery import Celery, chain

from bench.lab import cpu_seconds, running

STEPS = 7
DONE = "bench:done"

app = Celery("bare", broker=os.environ.get("BENCH_BROKER", "memory://"))
app.conf.update(
    task_acks_late=True,
    task_ignore_result=True,
    accept_content=["json"],
    task_default_queue="bare",
    broker_connection_retry_on_startup=True,
)


@app.task(name="bare.step")
def step(number: int) -> int:
    """Do nothing, and count the last one of a chain."""
    if number == STEPS - 1:
        _store().rpush(DONE, time.time())
    return number + 1


def _store() -> redis.Redis:
    client: redis.Redis | None = getattr(app, "bench_store", None)
    if client is None:
        client = app.bench_store = redis.Redis.from_url(os.environ["BENCH_STORE"])
    return client


def _send() -> None:
    chain(step.s(0), *(step.s() for _ in range(STEPS - 1))).apply_async()


def measure(broker: str, store: str, folder: Path, chains: int, in_flight: int) -> dict[str, float]:
    """Chains a second with `in_flight` at a time, and the latency of one alone in ms.

    `store` is a Redis where the last task of a chain leaves a mark; it may be the broker.
    """
    os.environ |= {"BENCH_BROKER": broker, "BENCH_STORE": store}
    app.conf.broker_url = broker
    marks = redis.Redis.from_url(store)
    marks.delete(DONE)
    command = [sys.executable, "-m", "celery", "-A", "bench.bare:app", "worker", "-c", "2"]
    command += ["-Q", "bare", "--without-gossip", "--without-mingle", "--without-heartbeat"]
    log = folder / "bare.log"
    with running(command, log, cwd=Path(__file__).parent.parent) as worker:
        _drive(marks, 50, in_flight)  # waits for the worker, and warms it
        burned = cpu_seconds([worker.pid, os.getpid()])
        seconds = _drive(marks, chains, in_flight)
        burned = cpu_seconds([worker.pid, os.getpid()]) - burned
        alone = [_drive(marks, 1, 1) for _ in range(50)]
    return {
        "chains_per_s": chains / seconds,
        "cpu_ms": burned / chains * 1000,
        "latency_ms": statistics.median(alone) * 1000,
    }


def _drive(marks: redis.Redis, chains: int, in_flight: int) -> float:
    """Seconds for `chains`, a new one being sent as one ends."""
    began = time.perf_counter()
    sent = 0
    for ended in range(chains):
        while sent < chains and sent - ended < in_flight:
            _send()
            sent += 1
        marks.blpop(DONE, 30)
    return time.perf_counter() - began
