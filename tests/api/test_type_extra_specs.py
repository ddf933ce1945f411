"""Extra specs of volume types."""

from typing import Any

import pytest

from tests.api.conftest import Caller, fault, volume
from tests.api.test_volume_types import create


def test_extra_specs_are_set_shown_and_removed(admin: Caller) -> None:
    type_id = create(admin, "fast", extra_specs={"media": "ssd"})
    specs = f"/types/{type_id}/extra_specs"
    body = {"extra_specs": {"media": "nvme", "qos:iops": "900"}}
    response = admin.post(specs, json=body)
    assert (response.status_code, response.json) == (200, body)
    assert admin.get(specs).json == body
    response = admin.put(f"{specs}/media", json={"media": "hdd"})
    assert (response.status_code, response.json) == (200, {"media": "hdd"})
    assert admin.get(f"{specs}/media").json == {"media": "hdd"}
    assert admin.delete(f"{specs}/media").status_code == 202
    fault(admin.delete(f"{specs}/media"), 404, "itemNotFound")
    fault(admin.get(f"{specs}/media"), 404, "itemNotFound")
    assert admin.get(specs).json == {"extra_specs": {"qos:iops": "900"}}


@pytest.mark.parametrize(
    "body", [{}, {"other": "1"}, {"media": "1", "other": "2"}, {"media": 3}, [], {"media": None}]
)
def test_an_extra_spec_is_the_one_in_the_path(admin: Caller, body: Any) -> None:
    type_id = create(admin, "fast", extra_specs={"media": "ssd"})
    response = admin.put(f"/types/{type_id}/extra_specs/media", json=body)
    fault(response, 400, "badRequest")
    assert admin.get(f"/types/{type_id}/extra_specs/media").json == {"media": "ssd"}


def test_extra_specs_stay_while_volumes_were_placed_by_them(admin: Caller) -> None:
    type_id = create(admin, "fast", extra_specs={"media": "ssd"})
    volume(volume_type_id=type_id)
    specs = f"/types/{type_id}/extra_specs"
    fault(admin.post(specs, json={"extra_specs": {"media": "x"}}), 400, "badRequest")
    fault(admin.put(f"{specs}/media", json={"media": "x"}), 400, "badRequest")
    fault(admin.delete(f"{specs}/media"), 400, "badRequest")
    assert admin.get(specs).json == {"extra_specs": {"media": "ssd"}}
