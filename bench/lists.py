"""1,000 of 100,000 volumes and snapshots in detail, from PostgreSQL.

    python -m bench.lists [--rows 100000] [--page 1000]

In this process, without the network: milliseconds of a request, its queries, and how many times
longer it takes than plain psycopg and json with the same rows. Then, for each filter that clients
use, whether PostgreSQL reads the page by an index.
"""

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import click
import psycopg
from flask import Flask
from psycopg.rows import dict_row
from sqlalchemy import event, insert

from api.app import create_app
from bench.lab import postgresql, stop_on_interrupt
from config.settings import Settings, load
from db import db, upgrade
from db.models import Snapshot, Volume, new_id
from db.transactions import writing

RESULTS = Path(__file__).parent / "results"
PROJECTS, TIMES, BATCH = 10, 7, 5000
MINE = "project-0"
HEADERS = {"X-Auth-Token": f"bench:{MINE}", "OpenStack-API-Version": "volume 3.71"}

QUERIES = (
    "",
    "status=error",
    "name=volume-500",
    "sort=created_at:asc",
    "all_tenants=1",
)
"""What is asked besides `limit`; each must be read by an index."""


@click.command()
@click.option("--rows", default=100_000, show_default=True)
@click.option("--page", default=1000, show_default=True)
def main(rows: int, page: int) -> None:
    """Print the time of a page, its queries, and its ratio to psycopg and json."""
    stop_on_interrupt()
    with tempfile.TemporaryDirectory() as folder, postgresql(Path(folder)) as (url, _):
        settings = load(
            environ={
                "BREEZEBLOCK_PATHS__DATA": folder,
                "BREEZEBLOCK_DATABASE__URL": url,
                "BREEZEBLOCK_BROKER__URL": "memory://",
                "BREEZEBLOCK_API__MAX_LIMIT": str(page),
            }
        )
        app = create_app(settings)
        _fill(settings, app, rows)
        with app.app_context():
            results = [
                _measure(app, url, resource, query, page)
                for resource in ("volumes", "snapshots")
                for query in QUERIES
            ]
            db.session.remove()
            db.engine.dispose()
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "lists.json").write_text(json.dumps(results, indent=1))


def _fill(settings: Settings, app: Flask, rows: int) -> None:
    """That many volumes, a tenth of them of `MINE`, and a snapshot of each."""
    upgrade(settings)
    now = datetime(2026, 1, 1)
    with app.app_context():
        for first in range(0, rows, BATCH):
            volumes = [_row(number, now) for number in range(first, min(first + BATCH, rows))]
            snapshots = [row | {"id": new_id(), "volume_id": row["id"]} for row in volumes]
            with writing() as tx:
                tx.execute(insert(Volume), volumes)
                tx.execute(insert(Snapshot), snapshots)
        with db.engine.connect() as connection:
            connection.exec_driver_sql("ANALYZE")
            connection.commit()


def _row(number: int, now: datetime) -> dict[str, Any]:
    return {
        "id": new_id(),
        "project_id": f"project-{number % PROJECTS}",
        "user_id": "bench",
        "name": f"volume-{number}",
        "size": 1 + number % 50,
        "status": "error" if number % 100 == 0 else "available",
        "visible": True,
        "created_at": now + timedelta(seconds=number),
        "meta": {"tier": "one"},
    }


def _measure(app: Flask, url: str, resource: str, query: str, page: int) -> dict[str, Any]:
    client = app.test_client()
    path = f"/v3/{MINE}/{resource}/detail?limit={page}&{query}"
    asked: list[tuple[str, Any]] = []

    def note(_c: object, _cursor: object, statement: str, parameters: Any, *_rest: object) -> None:
        asked.append((statement, parameters))

    def request() -> int:
        return len(client.get(path, headers=HEADERS).get_json()[resource])

    request()  # warm
    event.listen(db.engine, "before_cursor_execute", note)
    found = request()
    event.remove(db.engine, "before_cursor_execute", note)
    (statement, parameters) = next(one for one in asked if f"FROM {resource}" in one[0])
    with psycopg.connect(url, row_factory=dict_row) as connection:
        scans = _scans(connection, resource, statement, parameters)

        def plain() -> None:
            json.dumps(connection.execute(statement, parameters).fetchall(), default=_text)

        ours, theirs = _median_ms(request), _median_ms(plain)
    click.echo(
        f"{resource}?{query}: {found} rows in {ours:.1f} ms, {len(asked)} queries, "
        f"{ours / theirs:.1f} x psycopg and json{', READS THE WHOLE TABLE' if scans else ''}"
    )
    return {
        "resource": resource,
        "query": query,
        "rows": found,
        "ms": ours,
        "plain_ms": theirs,
        "queries": len(asked),
        "reads_the_whole_table": scans,
    }


def _scans(
    connection: "psycopg.Connection[dict[str, Any]]", table: str, statement: str, parameters: Any
) -> bool:
    """Whether PostgreSQL reads `table` from end to end for the statement."""
    explained = connection.execute(cast("Any", f"EXPLAIN {statement}"), parameters)
    plan = [str(line["QUERY PLAN"]) for line in explained.fetchall()]
    return any(f"Seq Scan on {table}" in line for line in plan)


def _median_ms(run: Callable[[], object]) -> float:
    times = []
    for _ in range(TIMES):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return statistics.median(times) * 1000


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


if __name__ == "__main__":
    main()
