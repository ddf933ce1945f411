"""How many requests a project may send."""

from collections.abc import Iterator

import pytest
from cinderclient.exceptions import from_response
from flask import Flask
from requests import Response

from api.rate_limit import Buckets
from tests.api.conftest import PROJECT, Caller, basic, fault, served


@pytest.fixture
def limited(environ: dict[str, str], password_file: object) -> Iterator[Flask]:
    environ |= {
        "BREEZEBLOCK_API__RATE_LIMIT": "0.1",
        "BREEZEBLOCK_API__RATE_BURST": "2",
        "BREEZEBLOCK_API__AUTH": "http_basic",
        "BREEZEBLOCK_API__PASSWORD_FILE": str(password_file),
    }
    yield from served(environ)


def test_a_bucket_gives_its_burst_and_then_the_rate() -> None:
    now = 100.0
    buckets = Buckets(rate=2, burst=3, clock=lambda: now)
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 0.5]
    assert buckets.take("b") == 0
    now += 0.5
    assert [buckets.take("a") for _ in range(2)] == [0, 0.5]
    now += 60
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 0.5]


def test_a_project_that_asks_too_much_waits_and_others_do_not(limited: Flask) -> None:
    ann, bob = basic(limited, "ann", PROJECT), basic(limited, "bob", "other")
    assert [ann.get("/volumes").status_code for _ in range(2)] == [200, 200]
    refused = ann.get("/volumes")
    fault(refused, 413, "overLimit")
    assert 1 <= int(refused.headers["Retry-After"]) <= 10
    assert bob.get("/volumes").status_code == 200
    assert limited.test_client().get("/healthcheck").status_code == 200


def test_cinderclient_learns_how_long_to_wait(limited: Flask) -> None:
    ann = basic(limited, "ann", PROJECT)
    refused = [ann.get("/volumes") for _ in range(3)][-1]
    response = Response()
    response.status_code = refused.status_code
    response.headers.update(refused.headers)
    error = from_response(response, refused.get_json())
    assert 1 <= error.retry_after <= 10


def test_by_default_there_is_no_limit(admin: Caller) -> None:
    assert {admin.get("/limits").status_code for _ in range(120)} == {200}
