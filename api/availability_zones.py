"""Availability zones, which are those of the nodes: /os-availability-zone."""

from typing import Any

from api.blueprint import Blueprint
from api.schemas.availability_zones import ZonesAnswer
from api.topology import VOLUME_BINARY, services
from db.transactions import reading

blp = Blueprint("availability_zones", __name__, description="Zones of the storage nodes")


@blp.get("/os-availability-zone")
@blp.response(200, ZonesAnswer)
def list_zones() -> dict[str, Any]:
    """List the zones; one is available while a backend in it takes new volumes."""
    with reading() as tx:
        found = [one for one in services(tx) if one.binary == VOLUME_BINARY]
    zones = {one.zone: False for one in found} | {one.zone: True for one in found if one.enabled}
    return {
        "availabilityZoneInfo": [
            {"zoneName": zone, "zoneState": {"available": zones[zone]}} for zone in sorted(zones)
        ]
    }
