"""Which query parameters filter which list: /resource_filters, from 3.33 on."""

from typing import Any

from flask import request

from api.blueprint import Blueprint
from api.errors import ApiError
from api.microversion import at_least
from api.schemas.resource_filters import ResourceFiltersAnswer

blp = Blueprint("resource_filters", __name__, description="Filters of lists")

FILTERS: dict[str, tuple[str, ...]] = {
    "volume": (
        "name",
        "status",
        "metadata",
        "bootable",
        "migration_status",
        "availability_zone",
        "group_id",
        "size",
        "created_at",
        "updated_at",
        "consumes_quota",
    ),
    "backup": ("name", "status", "volume_id"),
    "snapshot": ("name", "status", "volume_id", "metadata", "availability_zone", "consumes_quota"),
    "group": ("name", "status"),
    "group_snapshot": ("name", "status", "group_id"),
    "attachment": ("volume_id", "status", "instance_id", "attach_status"),
    "message": ("resource_uuid", "resource_type", "event_id", "request_id", "message_level"),
    "pool": ("name", "volume_type"),
    "volume_type": ("is_public",),
}
"""What Cinder lists as well: what every project may filter by."""


@blp.get("/resource_filters")
@blp.response(200, ResourceFiltersAnswer)
def list_filters() -> dict[str, Any]:
    """List the filters of each resource, or those of the one that `resource` names."""
    if not at_least(33):
        raise ApiError(404, "The resource could not be found.")
    wanted = request.args.get("resource")
    return {
        "resource_filters": [
            {"resource": resource, "filters": list(filters)}
            for resource, filters in FILTERS.items()
            if wanted in (None, resource)
        ]
    }
