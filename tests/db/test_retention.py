"""What has ended long ago goes, and nothing else."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import func, insert, select

import db
from config.settings import load
from db.models import DeadLetter, Flow, FlowStep, IdempotencyKey, Residue, new_id, utcnow
from db.retention import BATCH, purge
from db.transactions import reading, writing

KEEP = timedelta(hours=24)
LONG_AGO = utcnow() - timedelta(hours=48)


@pytest.fixture(autouse=True)
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("retention")
    settings = load(environ={"BREEZEBLOCK_PATHS__DATA": str(folder)})
    db.upgrade(settings)
    with db.database_app(settings).app_context():
        yield


def _flows(count: int, **values: object) -> list[str]:
    flows = [
        {
            "id": new_id(),
            "kind": "volume.create",
            "project_id": "p",
            "user_id": "u",
            "request_id": "req",
            "resource_id": new_id(),
            "queue": "control",
            "state": "succeeded",
            **values,
        }
        for _ in range(count)
    ]
    lines = [
        {
            "flow_id": flow["id"],
            "seq": 1,
            "epoch": 1,
            "attempt": 1,
            "step": "extract",
            "outcome": "done",
            "started_at": LONG_AGO,
            "finished_at": LONG_AGO,
        }
        for flow in flows
    ]
    with writing() as tx:
        tx.execute(insert(Flow), flows)
        tx.execute(insert(FlowStep), lines)
    return [str(flow["id"]) for flow in flows]


def _left(model: type) -> int:
    with reading() as tx:
        return tx.scalar(select(func.count()).select_from(model)) or 0


def test_old_flows_go_with_their_journals_in_batches() -> None:
    _flows(2 * BATCH + 1, finished_at=LONG_AGO)
    _flows(3, finished_at=utcnow())
    _flows(2, state="running", created_at=LONG_AGO)

    assert purge(KEEP) == 2 * BATCH + 1
    assert (_left(Flow), _left(FlowStep)) == (5, 5)
    assert purge(KEEP) == 0


def test_a_parked_flow_stays_as_long_as_its_residue() -> None:
    (flow_id,) = _flows(1, state="parked", finished_at=LONG_AGO)
    residue = Residue(
        flow_id=flow_id, request_id="req", volume_id=new_id(), host="n", epoch=1, reason="lost"
    )
    with writing() as tx:
        tx.add(residue)
    assert purge(KEEP) == 0
    with writing() as tx:
        tx.delete(tx.get_one(Residue, residue.id))
    assert purge(KEEP) == 1


def test_keys_go_when_they_expire_and_dead_letters_when_they_are_old() -> None:
    key = {"project_id": "p", "user_id": "u", "fingerprint": "f", "owner": "req"}
    later = utcnow() + timedelta(hours=1)
    with writing() as tx:
        tx.add(IdempotencyKey(**key, key="old", expires_at=LONG_AGO))
        tx.add(IdempotencyKey(**key, key="new", expires_at=later))
        tx.add(DeadLetter(task="t", reason="r", created_at=LONG_AGO))
        tx.add(DeadLetter(task="t", reason="r"))
    assert purge(KEEP) == 2
    assert (_left(IdempotencyKey), _left(DeadLetter)) == (1, 1)
