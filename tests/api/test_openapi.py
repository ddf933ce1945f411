"""The OpenAPI document: it is valid, has Cinder's operations, and is kept to; and its page."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import Case
from schemathesis.checks import CheckFunction, not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import status_code_conformance
from schemathesis.specs.openapi.schemas import OpenApiSchema

from tests.api.conftest import PROJECT
from tests.api.working import working

EXAMPLES = 6
HEADERS = {"X-Auth-Token": f"alice:{PROJECT}", "OpenStack-API-Version": "volume 3.71"}
CHECKS: list[CheckFunction] = [not_a_server_error, status_code_conformance]
NOT_IMPLEMENTED = {("PUT", "/v3/{project_id}/os-services/set-log")}
"""Where 501 is the answer, and not a server's error."""

SURFACE = """
/attachments GET POST
/attachments/detail GET
/attachments/{} GET PUT DELETE
/attachments/{}/action POST
/capabilities/{} GET
/cgsnapshots GET POST
/cgsnapshots/detail GET
/cgsnapshots/{} GET DELETE
/clusters GET
/clusters/detail GET
/clusters/disable PUT
/clusters/enable PUT
/clusters/{} GET
/consistencygroups GET POST
/consistencygroups/create_from_src POST
/consistencygroups/detail GET
/consistencygroups/{} GET
/consistencygroups/{}/delete POST
/consistencygroups/{}/update PUT
/default-types GET
/default-types/{} GET PUT DELETE
/extensions GET
/group_snapshots GET POST
/group_snapshots/detail GET
/group_snapshots/{} GET DELETE
/group_snapshots/{}/action POST
/group_types GET POST
/group_types/default GET
/group_types/{} GET PUT DELETE
/group_types/{}/group_specs GET POST
/group_types/{}/group_specs/{} GET PUT DELETE
/groups GET POST
/groups/action POST
/groups/detail GET
/groups/{} GET PUT
/groups/{}/action POST
/limits GET
/manageable_snapshots GET POST
/manageable_snapshots/detail GET
/manageable_volumes GET POST
/manageable_volumes/detail GET
/messages GET
/messages/{} GET DELETE
/os-availability-zone GET
/os-hosts GET
/os-hosts/{} GET
/os-quota-class-sets/{} GET PUT
/os-quota-sets/{} GET PUT DELETE
/os-quota-sets/{}/defaults GET
/os-services GET
/os-services/disable PUT
/os-services/disable-log-reason PUT
/os-services/enable PUT
/os-services/failover_host PUT
/os-services/freeze PUT
/os-services/get-log PUT
/os-services/set-log PUT
/os-services/thaw PUT
/os-volume-transfer GET POST
/os-volume-transfer/detail GET
/os-volume-transfer/{} GET DELETE
/os-volume-transfer/{}/accept POST
/qos-specs GET POST
/qos-specs/{} GET PUT DELETE
/qos-specs/{}/associate GET
/qos-specs/{}/associations GET
/qos-specs/{}/delete_keys PUT
/qos-specs/{}/disassociate GET
/qos-specs/{}/disassociate_all GET
/resource_filters GET
/scheduler-stats/get_pools GET
/snapshots GET POST
/snapshots/detail GET
/snapshots/{} GET PUT DELETE
/snapshots/{}/action POST
/snapshots/{}/metadata GET POST PUT
/snapshots/{}/metadata/{} GET PUT DELETE
/types GET POST
/types/default GET
/types/{} GET PUT DELETE
/types/{}/action POST
/types/{}/encryption GET POST
/types/{}/encryption/{} GET PUT DELETE
/types/{}/extra_specs GET POST
/types/{}/extra_specs/{} GET PUT DELETE
/types/{}/os-volume-type-access GET
/volume-transfers GET POST
/volume-transfers/detail GET
/volume-transfers/{} GET DELETE
/volume-transfers/{}/accept POST
/volumes GET POST
/volumes/detail GET
/volumes/summary GET
/volumes/{} GET PUT DELETE
/volumes/{}/action POST
/volumes/{}/metadata GET POST PUT
/volumes/{}/metadata/{} GET PUT DELETE
/workers/cleanup POST
"""
"""Cinder's operations below /v3/{project_id}, without those of backups."""


@pytest.fixture
def app(
    tmp_path: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Flask]:
    """The API on nodes that work, with a volume."""
    with working(tmp_path, environ, monkeypatch) as (world, app):
        world.made()
        yield app


@pytest.fixture
def schema(app: Flask) -> OpenApiSchema:
    return schemathesis.openapi.from_wsgi("/docs/openapi.json", app)


def test_the_document_is_valid(schema: OpenApiSchema) -> None:
    schema.validate()
    assert schema.raw_schema["openapi"].startswith("3.1")


def test_every_operation_of_cinder_is_in_it(schema: OpenApiSchema) -> None:
    there = {
        (re.sub(r"{[^}]*}", "{}", path.removeprefix("/v3/{project_id}")), method.upper())
        for path, operations in schema.raw_schema["paths"].items()
        for method in operations
    }
    wanted = {
        (path, method)
        for path, *methods in (line.split() for line in SURFACE.strip().splitlines())
        for method in methods
    }
    assert wanted - there == set()


@pytest.mark.slow
def test_it_is_kept_to(app: Flask, schema: OpenApiSchema) -> None:
    ids = _ids(app)
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found
        operation = found.ok()

        @seed(1)
        @settings(
            max_examples=EXAMPLES,
            phases=[Phase.generate],
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(operation.as_strategy())
        def keeps_to_it(case: Case) -> None:
            for name, value in ids.items():
                if name in case.path_parameters:
                    case.path_parameters[name] = value
            response = case.call(headers=HEADERS)
            if response.status_code == 501:
                assert (case.method, case.path) in NOT_IMPLEMENTED
            else:
                case.validate_response(response, checks=CHECKS)

        keeps_to_it()


def _ids(app: Flask) -> dict[str, Any]:
    """For path parameters: half of what can be asked is then about something that is there."""
    client = app.test_client()
    (volume,) = client.get(f"/v3/{PROJECT}/volumes", headers=HEADERS).get_json()["volumes"]
    (kind,) = client.get(f"/v3/{PROJECT}/types", headers=HEADERS).get_json()["volume_types"]
    return {"project_id": PROJECT, "volume_id": volume["id"], "type_id": kind["id"]}


def test_the_page_shows_every_operation(app: Flask) -> None:
    client = app.test_client()
    page = client.get("/docs")
    assert page.mimetype == "text/html"
    for path in client.get("/docs/openapi.json").get_json()["paths"]:
        assert f"<code>{path}</code>" in page.text
    assert "<script" not in page.text
