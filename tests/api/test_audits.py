"""Comparing the database with itself and with the storage, by request."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from kombu.exceptions import OperationalError as BrokerError
from sqlalchemy import select, update

from db.models import Audit, Pool, QuotaUsage, new_id, utcnow
from db.transactions import reading, writing
from tasks.audit import check, repair, take_part
from tests.api import rows
from tests.api.conftest import PROJECT, Caller, basic, fault
from tests.broker import Broker


@pytest.fixture
def broker(app: Flask) -> Broker:
    """The broker of the application, which nobody consumes."""
    return Broker()


def begin(caller: Caller) -> dict[str, Any]:
    response = caller.post("/audits", json={"audit": {"timeout": 30}})
    assert response.status_code == 202, response.text
    assert response.json is not None
    return dict(response.json["audit"])


def shown(caller: Caller, audit_id: str) -> dict[str, Any]:
    response = caller.get(f"/audits/{audit_id}")
    assert response.status_code == 200, response.text
    assert response.json is not None
    return dict(response.json["audit"])


def answer(app: Flask, broker: Broker, *objects: tuple[str, int]) -> None:
    """What node1 and a control worker do with the question."""
    question = broker.take("node.node1").message
    part = {"node": "node1", "listing": new_id(), "part": 0, "last": True, "error": None}
    listed = {"objects": [list(one) for one in objects]}
    take_part(app.extensions["breezeblock.engine"], {**question, **part, **listed})


def test_an_audit_of_a_node_that_is_up_and_one_that_is_not(
    app: Flask, admin: Caller, broker: Broker
) -> None:
    rows.two_nodes()
    with writing() as tx:  # node1 and node2 hold nothing, whatever the rows of the test say
        tx.execute(update(Pool).values(taken_gib=0, volumes=0))
    orphan = f"volume-{new_id()}"

    begun = begin(admin)
    assert begun["state"] == "collecting"
    assert [one["state"] for one in begun["backends"]] == ["asked", "unasked"]
    assert begun["backends"][1]["reason"] == "node node2 is down"

    answer(app, broker, (orphan, 4))
    assert shown(admin, begun["id"])["state"] == "confirming"
    assert shown(admin, begun["id"])["differences"] == []
    answer(app, broker, (orphan, 4))

    done = shown(admin, begun["id"])
    assert done["state"] == "done"
    assert done["finished_at"] is not None
    assert done["backends"][0] == {
        "name": "node1@file",
        "state": "answered",
        "reason": None,
        "objects": 1,
    }
    assert done["differences"] == [
        {
            "kind": "orphan_object",
            "meaning": "a back end holds an object that nothing knows of",
            "place": "node1@file",
            "subject": orphan,
            "expected": "nothing",
            "found": "4 GiB",
            "repair": "leave a residue; the sweeper has the node destroy the object",
            "outcome": None,
        }
    ]


def test_a_difference_is_repaired_once(app: Flask, admin: Caller, broker: Broker) -> None:
    rows.used(PROJECT, volumes=3)
    audit_id = begin(admin)["id"]
    path = f"/audits/{audit_id}/action"
    refused = admin.post(path, json={"repair": {}})
    assert "collecting" in fault(refused, 409, "conflictingRequest")
    check(app.extensions["breezeblock.engine"], audit_id)
    (difference,) = shown(admin, audit_id)["differences"]
    assert (difference["expected"], difference["found"]) == ("0", "3")

    response = admin.post(path, json={"repair": {}})
    assert response.status_code == 202, response.text
    assert response.json is not None
    assert response.json["audit"]["state"] == "repairing"
    fault(admin.post(path, json={"repair": {}}), 409, "conflictingRequest")
    assert broker.take("control").task == "audit.check"
    assert broker.take("control").task == "audit.repair"
    repair(audit_id)

    repaired = shown(admin, audit_id)
    assert repaired["state"] == "repaired"
    assert [one["outcome"] for one in repaired["differences"]] == ["mended"]
    with reading() as tx:
        assert tx.scalars(select(QuotaUsage.in_use)).all() == [0]
    fault(admin.post(path, json={"repair": {}}), 409, "conflictingRequest")


def test_who_looks_at_an_overdue_audit_has_it_gone_on_with(admin: Caller, broker: Broker) -> None:
    audit_id = begin(admin)["id"]
    assert broker.take("control").task == "audit.check"
    shown(admin, audit_id)
    assert not broker.holds("control")
    with writing() as tx:
        tx.execute(update(Audit).values(deadline=utcnow() - timedelta(seconds=1)))
    shown(admin, audit_id)
    sent = broker.take("control")
    assert (sent.task, sent.message["audit"]) == ("audit.check", audit_id)


def test_without_a_broker_nothing_is_begun(
    app: Flask, admin: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_broker(*_: Any, **__: Any) -> None:
        raise BrokerError("connection refused")

    monkeypatch.setattr(app.extensions["breezeblock.engine"].app, "send_task", no_broker)
    response = admin.post("/audits", json={"audit": {}})
    fault(response, 503, "serviceUnavailable")
    assert response.headers["Retry-After"] == "5"
    with reading() as tx:
        assert tx.query(Audit).count() == 0


@pytest.mark.parametrize(
    "body",
    [{}, {"audit": {"timeout": 0}}, {"audit": {"timeout": "x"}}, {"audit": {"all": True}}, []],
)
def test_what_is_no_audit_is_refused(admin: Caller, body: Any) -> None:
    fault(admin.post("/audits", json=body), 400, "badRequest")


def test_an_unknown_audit_is_not_found(admin: Caller) -> None:
    fault(admin.get(f"/audits/{new_id()}"), 404, "itemNotFound")
    fault(admin.post("/audits/x/action", json={"repair": {}}), 404, "itemNotFound")
    fault(admin.post("/audits/x/action", json={"mend": {}}), 400, "badRequest")


def test_audits_are_for_administrators(basic_app: Flask) -> None:
    ann = basic(basic_app, "ann", PROJECT)
    for response in (
        ann.post("/audits", json={"audit": {}}),
        ann.get(f"/audits/{new_id()}"),
        ann.post(f"/audits/{new_id()}/action", json={"repair": {}}),
    ):
        fault(response, 403, "forbidden")
