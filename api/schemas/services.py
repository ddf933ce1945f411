"""Bodies of os-services."""

from marshmallow import fields, validate

from api.blueprint import Body, Document
from api.schemas.volume_types import filled, printable


class ServiceBody(Body):
    """`service` is the old name of `binary`."""

    host = fields.String(required=True, validate=validate.Length(min=1, max=255))
    binary = fields.String(validate=validate.Length(min=1, max=255))
    service = fields.String(validate=validate.Length(min=1, max=255))


class ServiceReasonBody(ServiceBody):
    disabled_reason = fields.String(
        required=True, validate=[validate.Length(min=1, max=255), filled, printable]
    )


class ServiceDocument(Document):
    binary = fields.String()
    host = fields.String()
    zone = fields.String()
    status = fields.String()
    state = fields.String()
    updated_at = fields.String(allow_none=True)
    disabled_reason = fields.String(allow_none=True)


class ServicesAnswer(Document):
    services = fields.List(fields.Nested(ServiceDocument))


class ServiceAnswer(Document):
    host = fields.String()
    service = fields.String()
    binary = fields.String()
    status = fields.String()
    disabled = fields.Boolean()
    disabled_reason = fields.String(allow_none=True)
