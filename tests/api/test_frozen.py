"""A frozen backend: what it has is used, and nothing there is made, changed or removed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.api.conftest import Caller, fault
from tests.api.site import Site, begin, standing_site


@pytest.fixture(scope="module")
def lasting_site(empty_database: Path) -> Iterator[Site]:
    with standing_site(empty_database) as site:
        yield site


@pytest.fixture
def caller(lasting_site: Site, monkeypatch: pytest.MonkeyPatch) -> Caller:
    return begin(lasting_site, monkeypatch).caller()


def a_volume(caller: Caller) -> str:
    response = caller.post("/volumes", json={"volume": {"size": 1}})
    assert response.json is not None
    return str(response.json["volume"]["id"])


def host_of(caller: Caller, volume_id: str) -> str:
    response = caller.get(f"/volumes/{volume_id}")
    assert response.json is not None
    assert response.json["volume"]["status"] == "available"
    return str(response.json["volume"]["os-vol-host-attr:host"]).partition("#")[0]


def act(caller: Caller, volume_id: str, name: str, body: Any = None) -> TestResponse:
    return caller.post(f"/volumes/{volume_id}/action", json={name: body})


def test_a_frozen_backend_is_left_as_it_is(caller: Caller) -> None:
    volume_id = a_volume(caller)
    host = host_of(caller, volume_id)
    assert caller.put("/os-services/freeze", json={"host": host}).status_code == 202

    refused = [
        caller.delete(f"/volumes/{volume_id}"),
        act(caller, volume_id, "os-force_delete"),
        act(caller, volume_id, "os-extend", {"new_size": 2}),
        act(caller, volume_id, "os-unmanage"),
        caller.post("/snapshots", json={"snapshot": {"volume_id": volume_id}}),
    ]
    for response in refused:
        assert f"{host} is frozen" in fault(response, 400, "badRequest")
    assert host_of(caller, a_volume(caller)) != host
    assert act(caller, volume_id, "os-reserve").status_code == 202
    assert act(caller, volume_id, "os-unreserve").status_code == 202
    query = f"/manageable_volumes?host={host}"
    fault(caller.get(query), 503, "serviceUnavailable")

    assert caller.put("/os-services/thaw", json={"host": host}).status_code == 202
    assert act(caller, volume_id, "os-extend", {"new_size": 2}).status_code == 202
    assert caller.delete(f"/volumes/{volume_id}").status_code == 202
