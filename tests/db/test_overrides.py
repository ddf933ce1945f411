"""Statuses: the table of transitions, and what administrators may do against it."""

import pytest

from db import overrides, transitions
from db.models import Flow, Volume, new_id
from db.transitions import InvalidStatus, NotFound
from tests.db.conftest import Database

EVERY_STATUS = {*transitions.SETTABLE, "extending", "in-use", "error_extending"}


def _volume(database: Database, status: str, **columns: object) -> str:
    volume_id = new_id()
    row = {"project_id": "p", "user_id": "u", "size": 1, "visible": True} | columns
    with database.writing() as tx:
        tx.add(Volume(id=volume_id, status=status, **row))
    return volume_id


@pytest.mark.parametrize(
    ("action", "allowed"),
    [
        (
            "delete",
            {"available", "error", "error_deleting", "error_extending", "error_managing"},
        ),
        ("extend", {"available"}),
        ("force_delete", EVERY_STATUS),
    ],
)
def test_a_volume_is_taken_only_from_a_status_of_the_table(
    sqlite_database: Database, action: str, allowed: set[str]
) -> None:
    taken = set()
    for status in sorted(EVERY_STATUS):
        volume_id, flow_id = _volume(sqlite_database, status), sqlite_database.flow()
        with sqlite_database.writing() as tx:
            flow = tx.get_one(Flow, flow_id)
            try:
                _, previous = transitions.take(tx, Volume, volume_id, f"volume.{action}", flow)
            except InvalidStatus as error:
                assert error.status == status
                assert f"'{status}'" in str(error)
            else:
                assert previous == status
                taken.add(status)
    assert taken == allowed


def test_a_volume_in_work_is_not_taken_and_its_epoch_only_grows(database: Database) -> None:
    volume_id = _volume(database, "available", epoch=7)
    first, second = database.flow(), database.flow()
    with database.writing() as tx:
        volume, _ = transitions.take(
            tx, Volume, volume_id, "volume.extend", tx.get_one(Flow, first)
        )
        assert (volume.flow_id, volume.epoch) == (first, 8)
        assert tx.get_one(Flow, first).epoch == 8
    for action in ("delete", "extend", "force_delete"):
        with pytest.raises(InvalidStatus), database.writing() as tx:
            transitions.take(tx, Volume, volume_id, f"volume.{action}", tx.get_one(Flow, second))


def test_what_is_not_there_is_not_found(database: Database) -> None:
    flow_id = database.flow()
    with database.writing() as tx:
        with pytest.raises(NotFound):
            transitions.take(tx, Volume, new_id(), "volume.delete", tx.get_one(Flow, flow_id))
        with pytest.raises(NotFound):
            overrides.reset_volume_status(tx, new_id(), "error")
        with pytest.raises(NotFound):
            overrides.forget_node(tx, "nowhere")


def test_a_reset_fences_the_flow_that_works_on_the_volume(database: Database) -> None:
    flow_id = database.flow()
    volume_id = _volume(database, "extending", flow_id=flow_id, epoch=1)
    with database.writing() as tx:
        overrides.reset_volume_status(tx, volume_id, "available")
    with database.writing() as tx:
        volume, flow = tx.get_one(Volume, volume_id), tx.get_one(Flow, flow_id)
    assert (volume.status, volume.flow_id) == ("available", None)
    assert (flow.state, flow.epoch, volume.epoch) == ("superseded", 2, 2)
    assert flow.finished_at is not None


def test_a_request_that_is_overtaken_before_its_admission_is_told_of_it(database: Database) -> None:
    volume_id, flow_id = _volume(database, "available"), database.flow()
    with database.writing() as tx:
        flow = tx.get_one(Flow, flow_id)
        flow.kind, flow.resource_id = "volume.extend", volume_id
        transitions.take(tx, Volume, volume_id, "volume.extend", flow)
    with database.writing() as tx:
        overrides.fenced(tx, Volume, volume_id)
    with database.writing() as tx:
        flow = tx.get_one(Flow, flow_id)
        assert (flow.state, flow.admitted) == ("superseded", False)
        assert flow.error
        assert flow.error["status"] == 409
