"""Eight schedulers, pools that are nearly full, a thousand creates."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, func, select, update

import db
from config.settings import Settings, load
from db import database_app, journal
from db import db as database
from db.models import Backend, Claim, Flow, Node, Pool, QueueProbe, Volume, new_id
from db.transactions import reading, writing
from tasks import dispatch
from tasks.app import make_sender
from tests.postgresql import Server

SCHEDULERS, CREATES, POOLS = 8, 1000, 20
TAKEN = 950
POSITION = 4
"""Of the step `schedule` in the flow of a create."""


@pytest.fixture
def settings(postgresql_server: Server) -> Iterator[Settings]:
    """Of an empty installation on PostgreSQL whose messages go nowhere."""
    with postgresql_server.database() as url:
        given = {"BREEZEBLOCK_DATABASE__URL": url, "BREEZEBLOCK_BROKER__URL": "memory://"}
        found = load(environ=given)
        db.upgrade(found)
        with database_app(found).app_context():
            yield found
            database.engine.dispose()


def make_pools(count: int, limit: int, taken: int = 0) -> None:
    """Pools on one node that is up, with `limit` GiB each of which `taken` are taken already."""
    values = {"host": "n", "backend": "n@b", "limit_gib": limit, "total_gib": limit}
    values |= {"free_gib": limit, "taken_gib": taken, "volumes": taken}
    with writing() as tx:
        tx.add(Node(host="n", availability_zone="nova", ledger=new_id(), incarnation=1, sequence=1))
        tx.add(QueueProbe(queue="node.n", answered_tick=1, since_tick=1))
        tx.flush()
        tx.add(Backend(name="n@b", host="n", driver="fake"))
        tx.flush()
        tx.add_all(Pool(name=f"n@b#{number}", **values) for number in range(count))


def make_flows(count: int) -> None:
    """Creates of 1 GiB each that stand before their scheduling step."""
    who = {"project_id": "p", "user_id": "u"}
    with writing() as tx:
        for _ in range(count):
            volume = Volume(id=new_id(), size=1, status="creating", visible=True, epoch=1, **who)
            flow = Flow(id=new_id(), kind="volume.create", resource_id=volume.id, admitted=True)
            flow.payload, flow.position, flow.queue = {"size_gib": 1}, POSITION, "scheduler"
            flow.project_id, flow.user_id, flow.request_id, flow.epoch = "p", "u", "r", 1
            volume.flow_id = flow.id
            tx.add_all((volume, flow))
            tx.flush()
            found: dict[str, Any] = {"type_id": None, "extra_specs": {}, "zone": None}
            found |= {"size_gib": 1, "source": None, "group_backend": None}
            journal.write(tx, flow, "extract", "done", result=found)


def race(settings: Settings) -> tuple[int, list[str]]:
    """Let the schedulers race, each its own process; how many were granted, and who was not."""
    environ = {key: v for key, v in os.environ.items() if not key.startswith("BREEZEBLOCK_")}
    environ |= {"BREEZEBLOCK_DATABASE__URL": settings.database.url}
    environ |= {"BREEZEBLOCK_BROKER__URL": "memory://", "BREEZEBLOCK_LOGGING__LEVEL": "error"}
    with ExitStack() as ending, ThreadPoolExecutor(SCHEDULERS) as pool:
        racers = []
        for number in range(SCHEDULERS):
            command = [sys.executable, "-m", "tests.storm.racer", str(number), str(SCHEDULERS)]
            racer = subprocess.Popen(
                command,
                env=environ,
                cwd=Path(__file__).parents[2],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            ending.callback(racer.kill)
            racers.append(racer)
        for racer in racers:
            assert racer.stdout
            while (line := racer.stdout.readline()) != "ready\n":
                assert line, "a scheduler ended early"
        told = list(pool.map(lambda racer: racer.communicate("go\n", timeout=150)[0], racers))
    results = [json.loads(text.splitlines()[-1]) for text in told]
    return sum(one["granted"] for one in results), [t for one in results for t in one["refused"]]


def taken() -> list[tuple[int, float]]:
    """What is taken in each pool and what may be; the first is what its claims say too."""
    claims = select(func.count()).where(Claim.pool_id == Pool.id).scalar_subquery()
    with reading() as tx:
        rows = tx.execute(select(Pool.taken_gib, Pool.limit_gib, Pool.volumes, claims)).all()
    assert len({row.taken_gib - row[3] for row in rows}) == 1
    assert all(row.taken_gib == row.volumes for row in rows)
    return [(row.taken_gib, row.limit_gib) for row in rows]


@pytest.mark.slow
def test_room_for_all_is_used_to_the_last_gib(settings: Settings) -> None:
    make_pools(POOLS, TAKEN + CREATES // POOLS, TAKEN)
    make_flows(CREATES)
    granted, refused = race(settings)
    assert refused == []
    assert granted == CREATES
    assert all(used == limit for used, limit in taken())


@pytest.mark.slow
def test_no_room_is_given_twice(settings: Settings) -> None:
    room = 5
    make_pools(POOLS, TAKEN + room, TAKEN)
    make_flows(CREATES // 4)
    granted, refused = race(settings)
    assert granted == POOLS * room
    assert len(refused) == CREATES // 4 - granted
    assert all("No valid backend" in text for text in refused)
    assert all(used == limit for used, limit in taken())


def test_room_that_comes_after_the_decision_is_found(settings: Settings) -> None:
    """All that it saw room in is lost to another, which gives back room elsewhere meanwhile."""
    make_pools(2, 10, 9)
    with writing() as tx:
        full, free = tx.scalars(select(Pool.id).order_by(Pool.id))
        tx.execute(update(Pool).where(Pool.id == full).values(taken_gib=10))
    make_flows(1)
    engine = make_sender(settings)
    definition = engine.definitions["volume.create"]
    with reading() as tx:
        flow = tx.scalars(select(Flow)).one()
        message = dispatch.current(tx, settings, definition, flow).message

    def trade(other: Engine) -> None:
        with other.begin() as connection:
            move = update(Pool.__table__)  # type: ignore[arg-type]
            connection.execute(move.where(Pool.id == free).values(taken_gib=10))
            connection.execute(move.where(Pool.id == full).values(taken_gib=9))

    traded: list[str] = []

    @event.listens_for(database.engine, "before_cursor_execute")
    def first_claim(_connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("UPDATE pools") and not traded:
            traded.append(statement)
            trade(database.engine)

    assert engine.forward(engine.app.Task(), definition.steps[POSITION], message)
    assert traded
    assert taken_by_id() == {full: 10, free: 10}


def taken_by_id() -> dict[int, int]:
    with reading() as tx:
        return {row.id: row.taken_gib for row in tx.execute(select(Pool.id, Pool.taken_gib))}
