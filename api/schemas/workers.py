"""Bodies of /workers/cleanup."""

from marshmallow import fields, validate

from api.blueprint import Body, Document
from api.schemas.fields import Identifier, Name, Truth


class CleanupBody(Body):
    """Which services; what is not said, or null, is any."""

    service_id = fields.Integer(allow_none=True)
    cluster_name = Name(allow_none=True)
    host = Name(allow_none=True)
    binary = Name(
        allow_none=True,
        validate=validate.OneOf(
            ["", "cinder-volume", "cinder-scheduler"], error="It must be one of {choices}."
        ),
    )
    is_up = Truth(allow_none=True)
    disabled = Truth(allow_none=True)
    resource_id = Identifier(allow_none=True)
    resource_type = Name(
        allow_none=True,
        validate=validate.OneOf(
            ["", "Volume", "Snapshot", "volume", "snapshot"], error="It must be one of {choices}."
        ),
    )


class CleanupAnswer(Document):
    cleaning = fields.List(fields.Dict())
    unavailable = fields.List(fields.Dict())
