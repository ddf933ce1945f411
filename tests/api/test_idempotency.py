"""Idempotency-Key, and what a request is told, where the database goes away in the middle of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import OperationalError

from api.app import create_app
from config.settings import load
from db import db
from db.models import Flow, Volume
from db.transactions import reading, writing
from tests.api.conftest import PROJECT, Caller, fault, volume

KEY = {"Idempotency-Key": "once"}
CREATE = {"volume": {"size": 1}}


@pytest.fixture
def served(environ: dict[str, str]) -> Iterator[Flask]:
    """The application as it is served: each request has a context, and so a session, of its own."""
    app = create_app(load(environ=environ))
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def caller(served: Flask) -> Caller:
    return Caller(served.test_client(), PROJECT, {"X-Auth-Token": f"alice:{PROJECT}"})


@contextmanager
def broken(name: str) -> Iterator[None]:
    """The database is out of reach for what `name` does with it."""

    def out_of_reach(*_: Any) -> None:
        raise OperationalError("SELECT", {}, ConnectionError("gone"))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(name, out_of_reach)
        yield


def flows(app: Flask) -> int:
    with app.app_context(), reading() as tx:
        return tx.scalar(select(func.count()).select_from(Flow)) or 0


def test_a_create_whose_answer_was_lost_is_answered_and_not_done_again(
    served: Flask, caller: Caller
) -> None:
    with broken("api.admission.reading"):
        assert caller.post("/volumes", json=CREATE, headers=KEY).status_code == 500
    with served.app_context():
        with writing() as tx:
            flow = tx.scalars(select(Flow)).one()
            flow.admitted = True
        volume_id = volume(id=flow.resource_id)

    again = caller.post("/volumes", json=CREATE, headers=KEY)

    assert again.status_code == 202
    assert again.json is not None
    assert again.json["volume"]["id"] == volume_id
    assert flows(served) == 1


def test_a_delete_that_was_done_is_not_answered_with_404(served: Flask, caller: Caller) -> None:
    with served.app_context():
        path = f"/volumes/{volume()}/action"
    body: dict[str, Any] = {"os-force_delete": {}}
    with broken("api.admission.reading"):
        assert caller.post(path, json=body, headers=KEY).status_code == 500
    with served.app_context(), writing() as tx:
        tx.execute(update(Flow).values(admitted=True))
        tx.execute(delete(Volume))

    assert caller.post(path, json=body, headers=KEY).status_code == 202
    assert fault(caller.post(path, json=body), 404, "itemNotFound")
    assert flows(served) == 1


def test_a_request_that_ended_in_an_error_may_be_made_again(served: Flask, caller: Caller) -> None:
    with broken("api.admission.reading"):
        caller.post("/volumes", json=CREATE, headers=KEY)
    with served.app_context(), writing() as tx:
        tx.execute(update(Flow).values(state="refused", error={"status": 500, "message": "bug"}))
    assert caller.post("/volumes", json=CREATE, headers=KEY).status_code == 500

    with broken("api.admission.reading"):
        caller.post("/volumes", json=CREATE, headers=KEY)
    assert flows(served) == 2


def test_an_answer_that_cannot_be_kept_is_given(caller: Caller) -> None:
    with broken("api.idempotency._settle"):
        answer = caller.post("/volumes", json={"volume": {"size": 0}}, headers=KEY)
    assert fault(answer, 400, "badRequest")


@pytest.mark.parametrize(
    ("place", "method", "path"),
    [
        ("api.volumes.reading", "GET", "/volumes/{}"),
        ("api.volumes.reading", "DELETE", "/volumes/{}"),
        ("api.idempotency.writing", "POST", "/volumes"),
    ],
)
def test_before_anything_is_done_no_database_is_503(
    served: Flask, caller: Caller, place: str, method: str, path: str
) -> None:
    with served.app_context():
        path = path.format(volume())
    body = CREATE if method == "POST" else None
    with broken(place):
        answer = caller.request(method, path, json=body, headers=KEY)
    assert fault(answer, 503, "serviceUnavailable")
    assert answer.headers["Retry-After"]
    assert flows(served) == 0
