"""Bodies of os-services."""

from marshmallow import fields, validate

from api.blueprint import Body, Document
from api.schemas.fields import Name

FILLED = validate.Length(min=1, error="It must not be empty.")


class ServiceBody(Body):
    """`service` is the old name of `binary`."""

    host = Name(required=True, validate=FILLED)
    binary = Name(validate=FILLED)
    service = Name(validate=FILLED)


class ServiceReasonBody(ServiceBody):
    disabled_reason = Name(required=True, validate=FILLED)


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
