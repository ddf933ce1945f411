"""Which filters there are."""

import pytest

from api.resource_filters import FILTERS
from tests.api.conftest import Caller, fault

VALUES = {
    "metadata": '{"k": "v"}',
    "bootable": "true",
    "consumes_quota": "true",
    "size": "1",
    "created_at": "gt:2026-01-01T00:00:00",
    "updated_at": "lt:2026-01-01T00:00:00",
}
PATHS = {"volume": "/volumes"}


def test_filters_are_listed_by_resource(admin: Caller) -> None:
    answer = admin.get("/resource_filters").json
    assert answer is not None
    assert [one["resource"] for one in answer["resource_filters"]] == list(FILTERS)
    one = admin.get("/resource_filters?resource=pool").json
    assert one == {"resource_filters": [{"resource": "pool", "filters": ["name", "volume_type"]}]}
    assert admin.get("/resource_filters?resource=nothing").json == {"resource_filters": []}
    fault(admin.get("/resource_filters", minor=32), 404, "itemNotFound")


@pytest.mark.parametrize(
    ("resource", "name"), [(resource, name) for resource in PATHS for name in FILTERS[resource]]
)
def test_a_filter_that_is_listed_is_known(admin: Caller, resource: str, name: str) -> None:
    response = admin.get(PATHS[resource], query_string={name: VALUES.get(name, "x")})
    assert response.status_code == 200, response.text
