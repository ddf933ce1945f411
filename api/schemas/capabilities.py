"""The answer of /capabilities."""

from marshmallow import fields

from api.blueprint import Document


class CapabilitiesAnswer(Document):
    """`properties` by name, each with title, description, type and its present value."""

    namespace = fields.String()
    vendor_name = fields.String(allow_none=True)
    volume_backend_name = fields.String(allow_none=True)
    pool_name = fields.String(allow_none=True)
    driver_version = fields.String(allow_none=True)
    storage_protocol = fields.String(allow_none=True)
    display_name = fields.String()
    description = fields.String(allow_none=True)
    visibility = fields.String(allow_none=True)
    replication_targets = fields.List(fields.Dict())
    properties = fields.Dict(keys=fields.String())
