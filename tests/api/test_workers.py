"""Cleaning up after services."""

import pytest
from flask import Flask

from config.routing import SWEEP
from tests.api import rows
from tests.api.conftest import PROJECT, Caller, basic, fault


@pytest.fixture
def site(app: Flask) -> None:
    rows.two_nodes()


def hosts(services: list[dict[str, str]]) -> list[str]:
    return [one["host"] for one in services]


def swept(app: Flask) -> bool:
    """Whether the sweeper was asked to look; takes the message out of its queue."""
    with app.extensions["breezeblock.engine"].app.connection_for_read() as connection:
        message = connection.SimpleQueue(SWEEP, no_ack=True).queue.get(no_ack=True)
        return message is not None and message.headers["task"] == "sweep.tick"


@pytest.mark.usefixtures("site")
def test_a_clean_up_is_a_sweep_now(app: Flask, admin: Caller) -> None:
    response = admin.post("/workers/cleanup", json={})
    assert response.status_code == 202
    assert response.json is not None
    assert hosts(response.json["cleaning"]) == ["scheduler", "node1@file"]
    assert hosts(response.json["unavailable"]) == ["node2@file"]
    assert swept(app)


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize(
    ("body", "cleaning", "unavailable"),
    [
        ({"host": "node2"}, [], ["node2@file"]),
        ({"binary": "cinder-volume", "is_up": "true"}, ["node1@file"], []),
        ({"disabled": True}, [], []),
        ({"cluster_name": "c1"}, [], []),
    ],
)
def test_a_clean_up_may_be_of_some(
    admin: Caller, body: dict[str, object], cleaning: list[str], unavailable: list[str]
) -> None:
    answer = admin.post("/workers/cleanup", json=body).json
    assert answer is not None
    assert hosts(answer["cleaning"]) == cleaning
    assert hosts(answer["unavailable"]) == unavailable


def test_a_wrong_clean_up_is_refused(admin: Caller) -> None:
    fault(admin.post("/workers/cleanup", json={"binary": "cinder-api"}), 400, "badRequest")
    fault(admin.post("/workers/cleanup", json={"is_up": "perhaps"}), 400, "badRequest")
    fault(admin.post("/workers/cleanup", json={}, minor=23), 404, "itemNotFound")


def test_a_clean_up_is_for_administrators(basic_app: Flask) -> None:
    fault(basic(basic_app, "ann", PROJECT).post("/workers/cleanup", json={}), 403, "forbidden")
