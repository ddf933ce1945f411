"""Log levels, which are read and not written."""

import logging

from flask import Flask

from tests.api.conftest import PROJECT, Caller, basic, fault


def test_the_levels_of_the_api_are_shown(admin: Caller) -> None:
    logging.getLogger("api.levels.of.this.test").setLevel(logging.ERROR)
    answer = admin.put("/os-services/get-log", json={"binary": "*", "prefix": "api.levels"}).json
    assert answer is not None
    (levels,) = answer["log_levels"]
    assert levels["binary"] == "cinder-api"
    assert levels["levels"]["api.levels.of.this.test"] == "ERROR"
    other = admin.put("/os-services/get-log", json={"binary": "cinder-volume"}).json
    assert other == {"log_levels": []}


def test_a_level_is_not_set_from_outside(admin: Caller) -> None:
    before = logging.getLogger().level
    fault(admin.put("/os-services/set-log", json={"level": "DEBUG"}), 501, "notImplemented")
    assert logging.getLogger().level == before
    for level in (None, "loud", 10):
        fault(admin.put("/os-services/set-log", json={"level": level}), 400, "badRequest")
    fault(admin.put("/os-services/get-log", json={"binary": "nova"}), 400, "badRequest")
    fault(admin.put("/os-services/get-log", json={}, minor=31), 404, "itemNotFound")


def test_levels_are_for_administrators(basic_app: Flask) -> None:
    ann = basic(basic_app, "ann", PROJECT)
    fault(ann.put("/os-services/get-log", json={}), 403, "forbidden")
