"""What a backend can do."""

import pytest
from flask import Flask
from sqlalchemy import update

from db.models import Pool
from db.transactions import writing
from tests.api import rows
from tests.api.conftest import PROJECT, Caller, basic, fault

REPORTED = {"vendor_name": "Breezeblock", "driver_version": "1.0", "storage_protocol": "file"}


@pytest.fixture
def site(app: Flask) -> None:
    rows.two_nodes()
    with writing() as tx:
        tx.execute(update(Pool).values(capabilities=REPORTED | {"snapshots": True}, thin=True))


@pytest.mark.usefixtures("site")
def test_a_backend_shows_what_it_reported(admin: Caller) -> None:
    shown = admin.get("/capabilities/node1@file").json
    assert shown is not None
    assert shown["namespace"] == "OS::Storage::Capabilities::node1@file"
    assert {name: shown[name] for name in REPORTED} == REPORTED
    assert shown["pool_name"] is None
    assert shown["replication_targets"] == []
    assert shown["properties"]["snapshots"]["type"] == "boolean"
    assert shown["properties"]["thin_provisioning_support"]["default"] is True
    assert "vendor_name" not in shown["properties"]


@pytest.mark.usefixtures("site")
def test_a_pool_may_be_named(admin: Caller) -> None:
    shown = admin.get("/capabilities/node1@file%23node1-file").json
    assert shown is not None
    assert shown["pool_name"] == "node1-file"
    for host in ("node1", "node1@nfs", "node1@file%23other"):
        fault(admin.get(f"/capabilities/{host}"), 404, "itemNotFound")


def test_capabilities_are_for_administrators(basic_app: Flask) -> None:
    ann = basic(basic_app, "ann", PROJECT)
    fault(ann.get("/capabilities/node1@file"), 403, "forbidden")
