"""A list asks the database as often for twelve rows as for three."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from flask import Flask
from sqlalchemy import event

from db import db
from db.models import (
    DEFAULT_TYPE_NAME,
    Attachment,
    Group,
    GroupSnapshot,
    GroupType,
    GroupVolumeType,
    QosSpec,
    Snapshot,
    Transfer,
    VolumeType,
    VolumeTypeEncryption,
    new_id,
)
from db.transactions import reading
from tests.api import rows
from tests.api.conftest import PROJECT, Caller, volume
from tests.api.test_messages import message

MINE = {"project_id": PROJECT, "user_id": "alice"}
DONE = MINE | {"status": "available", "visible": True}


def _type(number: int) -> None:
    kind = VolumeType(id=new_id(), name=f"t{number}", extra_specs={"media": "ssd"})
    rows.add(kind, QosSpec(name=f"q{number}", consumer="both", specs={"read_iops_sec": "1"}))
    rows.add(
        VolumeTypeEncryption(volume_type_id=kind.id, provider="luks", control_location="front-end")
    )


def _everything(number: int) -> None:
    """One more of each resource, as full as it can be."""
    _type(number)
    with reading() as tx:
        (default,) = tx.query(VolumeType.id).where(VolumeType.name == DEFAULT_TYPE_NAME).one()
    group_type = GroupType(id=new_id(), name=f"g{number}", group_specs={"k": "v"})
    group = Group(id=new_id(), group_type_id=group_type.id, **DONE)
    snapshots = GroupSnapshot(id=new_id(), group_id=group.id, group_type_id=group_type.id, **DONE)
    rows.add(group_type, group, GroupVolumeType(group_id=group.id, volume_type_id=default))
    rows.add(snapshots)
    made = volume(
        volume_type_id=default,
        group_id=group.id,
        status="in-use",
        meta={"k": "v"},
        image_meta={"a": "b"},
    )
    rows.add(
        Snapshot(id=new_id(), volume_id=made, size=1, group_snapshot_id=snapshots.id, **DONE),
        Attachment(volume_id=made, status="attached", instance_id=new_id(), **MINE),
        Transfer(volume_id=volume(), name="t", salt="s", key_hash="h", source_project_id=PROJECT),
    )
    message(resource_uuid=made)
    rows.node(f"n{number}", answered_tick=100)


@contextmanager
def _counted() -> Iterator[Callable[[], int]]:
    """How many statements have been sent so far."""
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        statements.append(statement)

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        yield lambda: len(statements)
    finally:
        event.remove(db.engine, "before_cursor_execute", note)


@pytest.mark.parametrize(
    ("path", "rows_of_it"),
    [
        ("/volumes", True),
        ("/volumes/detail", True),
        ("/volumes/detail?with_count=true&all_tenants=1", True),
        ("/volumes/summary", False),
        ("/snapshots", True),
        ("/snapshots/detail", True),
        ("/attachments", True),
        ("/attachments/detail", True),
        ("/types", True),
        ("/group_types", True),
        ("/groups", True),
        ("/groups/detail?list_volume=true", True),
        ("/group_snapshots/detail", True),
        ("/consistencygroups/detail", False),
        ("/cgsnapshots/detail", False),
        ("/qos-specs", True),
        ("/default-types", False),
        ("/volume-transfers/detail", True),
        ("/os-volume-transfer/detail", True),
        ("/messages", True),
        ("/os-services", True),
        ("/scheduler-stats/get_pools?detail=true", True),
        ("/os-hosts", True),
        ("/os-availability-zone", False),
        ("/limits", False),
        (f"/os-quota-sets/{PROJECT}?usage=true", False),
        ("/flows", False),
        ("/nodes", True),
    ],
)
def test_a_list_does_not_ask_more_for_more_rows(
    app: Flask, admin: Caller, path: str, rows_of_it: bool
) -> None:
    rows.clock(100)
    rows.answered("scheduler", 100)
    asked = []
    for upto in (range(3), range(3, 12)):
        for number in upto:
            _everything(number)
        admin.get(path)  # what is kept in memory between requests is there now
        with _counted() as count:
            response = admin.get(path)
            asked.append(count())
        assert response.status_code == 200, response.text
        (listed, *_) = response.get_json().values()
        assert not rows_of_it or len(listed) >= len(upto)
    assert asked[0] == asked[1], path
    assert asked[0] <= 8
