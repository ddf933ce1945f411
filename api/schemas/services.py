"""Bodies of os-services."""

from marshmallow import fields, validate

from api.blueprint import Body, Document
from api.schemas.fields import Name

FILLED = validate.Length(min=1, error="It must not be empty.")

BINARIES = ("", "*", "cinder-api", "cinder-backup", "cinder-scheduler", "cinder-volume")
LEVELS = ("critical", "error", "warning", "info", "debug")


class ServiceBody(Body):
    """`service` is the old name of `binary`."""

    host = Name(required=True, validate=FILLED)
    binary = Name(validate=FILLED)
    service = Name(validate=FILLED)


class ServiceReasonBody(ServiceBody):
    disabled_reason = Name(required=True, validate=FILLED)


class HostBody(Body):
    """A backend, `node@backend`, or a node alone for all of its backends."""

    host = Name(required=True, validate=FILLED)


class FailoverBody(HostBody):
    """`backend_id` is the replication target to fail over to."""

    backend_id = Name(allow_none=True)
    cluster = Name(allow_none=True)


class LogBody(Body):
    """Which processes' log levels: an empty `binary` or `server` means all of them."""

    binary = Name(
        allow_none=True,
        load_default="",
        validate=validate.OneOf(BINARIES, error="It must be one of {choices}."),
    )
    server = Name(allow_none=True, load_default="")
    prefix = Name(allow_none=True, load_default="")
    level = fields.Raw(load_default=None)


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


class LogLevelsAnswer(Document):
    """For each process its loggers, by name, with their levels."""

    log_levels = fields.List(fields.Dict())
