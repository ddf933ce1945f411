"""Every refusal is a fault of the v3 API."""

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.exc import OperationalError

from api.errors import ApiError
from db.models import VolumeType
from db.transactions import writing
from tests.api.conftest import Caller, fault


def test_an_unknown_route_is_a_fault(admin: Caller) -> None:
    fault(admin.get("/no-such-resource"), 404, "itemNotFound")


def test_a_method_that_is_not_allowed_names_those_that_are(admin: Caller) -> None:
    response = admin.request("PATCH", "/volumes")
    fault(response, 405, "badMethod")
    assert "POST" in response.headers["Allow"]


def test_an_unexpected_error_shows_the_request_id_only(app: Flask, admin: Caller) -> None:
    def fail() -> str:
        raise RuntimeError("password=hunter2")

    app.add_url_rule("/v3/<project_id>/fail", view_func=fail)
    response = admin.get("/fail")
    message = fault(response, 500, "computeFault")
    assert "hunter2" not in response.text
    assert response.headers["x-openstack-request-id"] in message


@pytest.mark.parametrize(("changed", "status"), [(False, 503), (True, 500)])
def test_503_is_only_said_where_nothing_can_have_been_done(
    app: Flask, admin: Caller, changed: bool, status: int
) -> None:
    def fail() -> str:
        if changed:
            with writing() as tx:
                tx.add(VolumeType(name="made"))
        raise OperationalError("select 1", {}, Exception("connection refused"))

    app.add_url_rule("/v3/<project_id>/fail", view_func=fail, methods=["POST"])
    response = admin.post("/fail")
    assert response.status_code == status
    assert ("Retry-After" in response.headers) == (status == 503)


def test_over_limit_repeats_its_retry_after_in_the_body(app: Flask, admin: Caller) -> None:
    def fail() -> str:
        raise ApiError(413, "Too much.", {"Retry-After": "7"})

    app.add_url_rule("/v3/<project_id>/fail", view_func=fail)
    response = admin.get("/fail")
    assert response.headers["Retry-After"] == "7"
    assert response.json == {"overLimit": {"code": 413, "message": "Too much.", "retryAfter": "7"}}


def test_every_response_has_a_request_id_of_our_own(app: Flask) -> None:
    client: FlaskClient = app.test_client()
    sent = "req-00000000-0000-4000-8000-000000000000"
    first, second = (
        client.get("/v3/demo/volumes", headers={"X-OpenStack-Request-ID": sent})
        .headers["x-openstack-request-id"]
        for _ in range(2)
    )  # fmt: skip
    assert first.startswith("req-")
    assert len({first, second, sent}) == 3


@pytest.mark.parametrize(
    ("body", "content_type", "status", "name"),
    [
        (b"{", "application/json", 400, "badRequest"),
        (b'{"volume": {"size": NaN}}', "application/json", 400, "badRequest"),
        (b'{"volume": {"size": ' + b"9" * 5000 + b"}}", "application/json", 400, "badRequest"),
        (b"[" * 20_000, "application/json", 400, "badRequest"),
        (b"\xff\xfe\xfa", "application/json", 400, "badRequest"),
        (b"[]", "application/json", 400, "badRequest"),
        (b"null", "application/json", 400, "badRequest"),
        (b"", "application/json", 400, "badRequest"),
        (b"{}", "application/json", 400, "badRequest"),
        (b'{"volume": []}', "application/json", 400, "badRequest"),
        (b'{"volume": {"size": 1}}', "text/plain", 415, "badMediaType"),
        (b'{"volume": "' + b"x" * 200_000 + b'"}', "application/json", 413, "overLimit"),
    ],
)
def test_a_body_that_cannot_be_read(
    admin: Caller, body: bytes, content_type: str, status: int, name: str
) -> None:
    response = admin.post("/volumes", data=body, headers={"Content-Type": content_type})
    fault(response, status, name)


def test_a_nul_in_a_path_or_a_query_finds_nothing_and_breaks_nothing(admin: Caller) -> None:
    assert admin.get("/volumes/%00").status_code == 404
    assert admin.get("/volumes?name=%00").status_code == 400
    assert admin.get("/volumes?%00=1").status_code == 400
