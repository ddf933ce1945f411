"""Idempotency-Key, and what a request is told, where the database goes away in the middle of it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask import Flask, Response, g
from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import OperationalError
from werkzeug.test import TestResponse

from api import idempotency, volumes
from api.app import create_app
from config.settings import load
from db import db
from db.models import Flow, IdempotencyKey, Volume, VolumeType, utcnow
from db.transactions import reading, writing
from tasks.app import make_celery
from tasks.dispatch import Outgoing
from tasks.engine import Engine
from tests.api import rows
from tests.api.conftest import PROJECT, Caller, fault, volume

KEY = {"Idempotency-Key": "once"}
CREATE: dict[str, Any] = {"volume": {"size": 1, "name": "büro", "metadata": {"of": "ann"}}}
OTHER: dict[str, Any] = {"volume": {"size": 2}}


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


@pytest.fixture
def control(served: Flask, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A control worker that runs every flow up to its admission, at once."""
    app = make_celery(load(environ=environ))
    with served.app_context():
        rows.clock(1)

    def send(engine: Engine, outgoing: Outgoing) -> None:
        message: Any = outgoing.message
        admission = engine.definitions[message["kind"]].admission
        for task, _ in outgoing.links:
            message = app.tasks[task].apply(args=(message,), throw=True).result
            if task.endswith(f".{admission}"):
                return

    monkeypatch.setattr(Engine, "send", send)


@contextmanager
def broken(name: str) -> Iterator[None]:
    """The database is out of reach for what `name` does with it."""

    def out_of_reach(*_: Any) -> None:
        raise OperationalError("SELECT", {}, ConnectionError("gone"))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(name, out_of_reach)
        yield


LOST = "api.idempotency._settle"
"""Without it a request ends as if its API had died just before it answered."""


@contextmanager
def looking_too_early() -> Iterator[None]:
    """The next request looks for its key before the earlier one has put it in."""
    real = idempotency._earlier

    def nothing(_key: str) -> Response | None:
        patch.setattr(idempotency, "_earlier", real)
        return None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(idempotency, "_earlier", nothing)
        yield


def count(app: Flask, model: type = Flow) -> int:
    with app.app_context(), reading() as tx:
        return tx.scalar(select(func.count()).select_from(model)) or 0


def answers_kept(app: Flask) -> list[str | None]:
    with app.app_context(), reading() as tx:
        return [body for body in tx.scalars(select(IdempotencyKey.body)) if body is not None]


def post(caller: Caller, body: dict[str, Any] = CREATE, path: str = "/volumes") -> TestResponse:
    return caller.post(path, json=body, headers=KEY)


def without_times(answer: TestResponse) -> dict[str, Any]:
    assert answer.json is not None
    return {**answer.json["volume"], "updated_at": None}


@pytest.mark.usefixtures("control")
@pytest.mark.parametrize("gone", [False, True])
def test_a_create_is_answered_as_it_was(served: Flask, caller: Caller, gone: bool) -> None:
    first = post(caller)
    if gone:
        with served.app_context(), writing() as tx:
            tx.execute(delete(Volume))

    again = post(caller)

    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json == first.json
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert count(served) == 1


@pytest.mark.usefixtures("control")
@pytest.mark.parametrize("gone", [False, True])
def test_a_create_whose_answer_was_lost_is_answered_as_it_was(
    served: Flask, caller: Caller, gone: bool
) -> None:
    with broken(LOST):
        first = post(caller)
    if gone:
        with served.app_context(), writing() as tx:
            tx.execute(delete(Volume))

    again, once_more = post(caller), post(caller)

    assert again.status_code == 202
    assert without_times(again) == without_times(first)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert once_more.json == again.json
    assert not answers_kept(served)
    assert count(served) == 1


def test_a_create_that_nobody_admitted_is_in_flight(served: Flask, caller: Caller) -> None:
    with broken("api.admission.reading"):
        assert post(caller).status_code == 500

    again = post(caller)

    assert fault(again, 409, "conflictingRequest")
    assert "Idempotency-Replayed" not in again.headers
    assert count(served) == 1


@pytest.mark.usefixtures("control")
@pytest.mark.parametrize("died", [False, True])
def test_a_delete_that_was_done_is_not_answered_with_404(
    served: Flask, caller: Caller, died: bool
) -> None:
    with served.app_context():
        rows.node("node1")
        path = f"/volumes/{volume(host='node1@file#node1-file')}/action"
    body: dict[str, Any] = {"os-force_delete": {}}
    if died:
        with broken(LOST):
            post(caller, body, path)
    else:
        assert post(caller, body, path).status_code == 202
    with served.app_context(), writing() as tx:
        tx.execute(delete(Volume))

    again = post(caller, body, path)

    assert (again.status_code, again.data) == (202, b"")
    assert fault(caller.post(path, json=body), 404, "itemNotFound")
    assert count(served) == 1


def test_a_refusal_that_was_lost_is_given_again(served: Flask, caller: Caller) -> None:
    with broken("api.admission.reading"):
        post(caller)
    error = {"status": 413, "message": "VolumeLimitExceeded"}
    with served.app_context(), writing() as tx:
        tx.execute(update(Flow).values(state="refused", error=error, finished_at=utcnow()))

    again = post(caller)

    assert "VolumeLimitExceeded" in fault(again, 413, "overLimit")
    assert again.headers["Idempotency-Replayed"] == "true"
    assert count(served) == 1


@pytest.mark.usefixtures("control")
@pytest.mark.parametrize("status", [500, 503])
def test_a_request_that_ended_in_an_error_is_made_again(
    served: Flask, caller: Caller, status: int
) -> None:
    with broken("api.admission.reading"):
        post(caller)
    with served.app_context(), writing() as tx:
        tx.execute(delete(Volume))
        tx.execute(
            update(Flow).values(
                admitted=False, state="refused", error={"status": status, "message": "bug"}
            )
        )

    assert post(caller).status_code == 202
    assert count(served) == 2


@pytest.mark.usefixtures("control")
def test_a_request_that_made_no_flow_left_no_key(served: Flask, caller: Caller) -> None:
    """The key goes in with the flow: an API that dies before that leaves neither."""
    with broken("db.journal.begin"), broken(LOST):
        assert fault(post(caller), 503, "serviceUnavailable")

    assert post(caller).status_code == 202
    assert count(served) == 1


@pytest.mark.usefixtures("control")
def test_of_two_that_come_at_once_one_takes_effect(served: Flask, caller: Caller) -> None:
    first = post(caller)

    with looking_too_early():
        again = post(caller)
    with looking_too_early():
        other = post(caller, OTHER)

    assert (again.status_code, again.json) == (202, first.json)
    assert other.status_code == 422
    assert count(served) == 1


def test_of_two_that_come_at_once_the_other_may_be_in_flight(served: Flask, caller: Caller) -> None:
    with broken("api.admission.reading"):
        post(caller)

    with looking_too_early():
        assert fault(post(caller), 409, "conflictingRequest")
    assert count(served) == 1


TYPE: dict[str, Any] = {"volume_type": {"name": "gold"}}


def test_what_makes_no_flow_is_done_once_too(served: Flask, caller: Caller) -> None:
    first, again = (post(caller, TYPE, "/types") for _ in range(2))
    assert (again.status_code, again.json) == (first.status_code, first.json) != (409, None)
    assert count(served, VolumeType) == 2  # the default one is there

    with looking_too_early():
        other = post(caller, {"volume_type": {"name": "silver"}}, "/types")
    assert other.status_code == 422
    assert count(served, VolumeType) == 2


def test_what_makes_no_flow_and_lost_its_answer_is_not_done_again(
    served: Flask, caller: Caller
) -> None:
    with broken(LOST):
        post(caller, TYPE, "/types")
    with served.app_context(), writing() as tx:
        tx.execute(delete(VolumeType).where(VolumeType.name == "gold"))

    assert "was not kept" in fault(post(caller, TYPE, "/types"), 409, "conflictingRequest")
    assert count(served, VolumeType) == 1


@pytest.mark.usefixtures("control")
def test_a_secret_is_not_kept_but_told_again(
    served: Flask, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(volumes, "made", secretly(volumes.made))
        first = post(caller)
    assert not answers_kept(served)

    assert without_times(post(caller)) == without_times(first)
    assert count(served) == 1


def secretly(view: Callable[[str], dict[str, Any]]) -> Callable[[str], dict[str, Any]]:
    def told(identifier: str) -> dict[str, Any]:
        g.answer_is_secret = True
        return view(identifier)

    return told


def test_a_refusal_is_kept(served: Flask, caller: Caller) -> None:
    wrong = {"volume": {"size": 0}}
    first, again = post(caller, wrong), post(caller, wrong)
    assert fault(again, 400, "badRequest")
    assert again.json == first.json
    assert again.headers["Idempotency-Replayed"] == "true"
    assert post(caller, OTHER).status_code == 422
    assert count(served) == 0


@pytest.mark.usefixtures("control")
def test_a_key_that_has_expired_is_free(served: Flask, caller: Caller) -> None:
    post(caller)
    with served.app_context(), writing() as tx:
        tx.execute(update(IdempotencyKey).values(expires_at=utcnow()))

    assert post(caller, OTHER).status_code == 202
    assert count(served) == 2


def test_an_answer_that_cannot_be_kept_is_given(caller: Caller) -> None:
    with broken(LOST):
        answer = post(caller, {"volume": {"size": 0}})
    assert fault(answer, 400, "badRequest")


@pytest.mark.parametrize(
    ("place", "method", "path"),
    [
        ("api.volumes.reading", "GET", "/volumes/{}"),
        ("api.volumes.reading", "DELETE", "/volumes/{}"),
        ("api.idempotency.reading", "POST", "/volumes"),
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
    assert count(served) == 0
