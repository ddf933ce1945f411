"""Absolute limits of a project."""

import pytest
from flask import Flask

from tests.api.conftest import PROJECT, Caller, basic
from tests.api.rows import used


def test_absolute_limits_come_with_what_is_used(admin: Caller) -> None:
    used(PROJECT, volumes=2, gigabytes=30)
    used("other", volumes=7)
    response = admin.get("/limits").json
    assert response is not None
    assert response["limits"]["rate"] == []
    assert response["limits"]["absolute"] == {
        "maxTotalVolumes": 10,
        "totalVolumesUsed": 2,
        "maxTotalVolumeGigabytes": 1000,
        "totalGigabytesUsed": 30,
        "maxTotalSnapshots": 10,
        "totalSnapshotsUsed": 0,
        "maxTotalBackups": 10,
        "totalBackupsUsed": 0,
        "maxTotalBackupGigabytes": 1000,
        "totalBackupGigabytesUsed": 0,
    }


@pytest.mark.parametrize(("minor", "count"), [(38, 2), (39, 7)])
def test_an_administrator_asks_for_anothers_limits(admin: Caller, minor: int, count: int) -> None:
    used(PROJECT, volumes=2)
    used("other", volumes=7)
    response = admin.get("/limits?project_id=other", minor=minor).json
    assert response is not None
    assert response["limits"]["absolute"]["totalVolumesUsed"] == count


def test_a_user_gets_the_own_limits_whatever_is_asked(basic_app: Flask) -> None:
    used(PROJECT, volumes=2)
    used("other", volumes=7)
    response = basic(basic_app, "ann", PROJECT).get("/limits?project_id=other").json
    assert response is not None
    assert response["limits"]["absolute"]["totalVolumesUsed"] == 2
