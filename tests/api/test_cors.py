"""What a browser is told about pages of other origins."""

from collections.abc import Iterator

import pytest
from flask import Flask

from tests.api.conftest import PROJECT, served

PAGE = "https://console.example"
PREFLIGHT = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "X-Auth-Token",
}


@pytest.fixture
def cors_app(environ: dict[str, str], password_file: object) -> Iterator[Flask]:
    environ |= {
        "BREEZEBLOCK_CORS__ALLOWED_ORIGINS": f"{PAGE},http://localhost:3000",
        "BREEZEBLOCK_CORS__ALLOW_CREDENTIALS": "true",
        "BREEZEBLOCK_API__AUTH": "http_basic",
        "BREEZEBLOCK_API__PASSWORD_FILE": str(password_file),
    }
    yield from served(environ)


def test_a_preflight_needs_no_credentials(cors_app: Flask) -> None:
    client = cors_app.test_client()
    answer = client.options(f"/v3/{PROJECT}/volumes", headers={"Origin": PAGE} | PREFLIGHT)
    assert answer.status_code == 204
    assert answer.headers["Access-Control-Allow-Origin"] == PAGE
    assert answer.headers["Access-Control-Allow-Credentials"] == "true"
    assert "X-Auth-Token" in answer.headers["Access-Control-Allow-Headers"]
    assert "DELETE" in answer.headers["Access-Control-Allow-Methods"]
    assert answer.headers["Access-Control-Max-Age"] == "3600"


def test_a_page_may_read_a_refusal_too(cors_app: Flask) -> None:
    answer = cors_app.test_client().get(f"/v3/{PROJECT}/volumes", headers={"Origin": PAGE})
    assert answer.status_code == 401
    assert answer.headers["Access-Control-Allow-Origin"] == PAGE
    assert "Origin" in answer.vary


def test_another_origin_is_told_nothing(cors_app: Flask) -> None:
    client, origin = cors_app.test_client(), {"Origin": "https://elsewhere.example"}
    for answer in (
        client.options(f"/v3/{PROJECT}/volumes", headers=origin | PREFLIGHT),
        client.get(f"/v3/{PROJECT}/volumes", headers=origin),
    ):
        assert not [name for name, _ in answer.headers if name.startswith("Access-Control")]


def test_by_default_no_origin_is_allowed(app: Flask) -> None:
    answer = app.test_client().get(f"/v3/{PROJECT}/volumes", headers={"Origin": PAGE})
    assert answer.status_code == 200
    assert "Access-Control-Allow-Origin" not in answer.headers
