"""Rows that an operator's resources show, with what a test does not say filled in."""

from datetime import datetime, timedelta
from typing import Any

from db.models import (
    Backend,
    Base,
    Clock,
    DeadLetter,
    Flow,
    FlowStep,
    Node,
    Pool,
    QueueProbe,
    QuotaUsage,
    Residue,
    new_id,
)
from db.transactions import writing

START = datetime(2026, 3, 1, 12, 0, 0)


def add(*rows: Base) -> None:
    """Insert rows, in this order."""
    with writing() as tx:
        for row in rows:
            tx.add(row)
            tx.flush()


def clock(tick: int) -> None:
    """Set the sweeper's clock, whether the schema came with one or not."""
    with writing() as tx:
        tx.merge(Clock(id=1, tick=tick, at=START))


def answered(queue: str, tick: int) -> None:
    """The newest probe that came out of `queue`."""
    with writing() as tx:
        tx.merge(QueueProbe(queue=queue, answered_tick=tick))


def node(host: str = "node1", *, answered_tick: int | None = None, **columns: Any) -> None:
    """A node with one backend `file` and its pool, up when its last answer is recent."""
    values = {
        "availability_zone": "nova",
        "ledger": new_id(),
        "incarnation": 1,
        "sequence": 1,
        "reported_at": START,
    }
    backend = f"{host}@file"
    add(
        Node(host=host, **(values | columns)),
        Backend(name=backend, host=host, driver="file", updated_at=START),
        Pool(
            name=f"{backend}#{host}-file",
            host=host,
            backend=backend,
            limit_gib=90.0,
            taken_gib=30,
            volumes=3,
            total_gib=100.0,
            free_gib=70.5,
            reserved_percentage=10,
            capabilities={"format": "raw"},
            updated_at=START,
        ),
    )
    if answered_tick is not None:
        answered(f"node.{host}", answered_tick)


def flow(minute: int = 0, **columns: Any) -> str:
    """A flow that began `minute` minutes after START and took two seconds; returns its id."""
    created = START + timedelta(minutes=minute)
    values = {
        "id": new_id(),
        "kind": "volume.create",
        "project_id": "demo",
        "user_id": "alice",
        "request_id": f"req-{new_id()}",
        "resource_id": new_id(),
        "state": "succeeded",
        "admitted": True,
        "queue": "control",
        "created_at": created,
        "finished_at": created + timedelta(seconds=2),
    } | columns
    add(Flow(**values))
    return str(values["id"])


def step(flow_id: str, seq: int, name: str, **columns: Any) -> None:
    """A line of a flow's journal that took 25 ms."""
    values = {
        "epoch": 1,
        "attempt": 1,
        "outcome": "done",
        "started_at": START,
        "finished_at": START + timedelta(milliseconds=25),
    } | columns
    add(FlowStep(flow_id=flow_id, seq=seq, step=name, **values))


def residue(minute: int = 0, **columns: Any) -> str:
    """A residue on node1; returns its id."""
    values = {
        "id": new_id(),
        "flow_id": new_id(),
        "request_id": f"req-{new_id()}",
        "volume_id": new_id(),
        "host": "node1",
        "op": {"verb": "destroy", "object": "volume-1"},
        "epoch": 2,
        "reason": "no answer",
        "created_at": START + timedelta(minutes=minute),
    } | columns
    add(Residue(**values))
    return str(values["id"])


def used(project: str, **resources: int) -> None:
    """What a project is charged, by resource."""
    add(
        *(
            QuotaUsage(project_id=project, resource=name, in_use=value, reserved=0)
            for name, value in resources.items()
        )
    )


def two_nodes() -> None:
    """node1 answers, as the scheduler does; node2, in another zone, was silent for too long."""
    clock(100)
    node("node1", answered_tick=95)
    node("node2", answered_tick=60, availability_zone="east")
    answered("scheduler", 99)


def letter(minute: int = 0, **columns: Any) -> str:
    """A dead letter of `minute` minutes after START; returns its id."""
    values = {
        "id": new_id(),
        "task": "volume.create.extract",
        "reason": "version 2 is not known",
        "message": {"queue": "control", "args": [{"v": 2}], "kwargs": {}, "chain": []},
        "created_at": START + timedelta(minutes=minute),
    } | columns
    add(DeadLetter(**values))
    return str(values["id"])
