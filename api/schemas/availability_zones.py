"""The answer of os-availability-zone."""

from marshmallow import fields

from api.blueprint import Document


class ZoneDocument(Document):
    zone_name = fields.String(data_key="zoneName")
    zone_state = fields.Dict(data_key="zoneState")


class ZonesAnswer(Document):
    availability_zone_info = fields.List(
        fields.Nested(ZoneDocument), data_key="availabilityZoneInfo"
    )
