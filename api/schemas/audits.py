"""Bodies of /audits."""

from marshmallow import fields, validate

from api.blueprint import Body, Document

MOST_SECONDS = 3600


class AuditNew(Body):
    """How long to wait for the lists of the nodes, each of the two times, in seconds."""

    timeout = fields.Float(
        load_default=60.0,
        validate=validate.Range(
            0.1, MOST_SECONDS, error=f"It must be a number of seconds from 0.1 to {MOST_SECONDS}."
        ),
    )


class AuditCreate(Body):
    """The body of a new audit."""

    audit = fields.Nested(AuditNew, required=True)


class AuditAction(Body):
    """The only action, with an empty object."""

    repair = fields.Dict(required=True)


class AuditBackendDocument(Document):
    """`state` is asked, answered or unasked; `objects` is how many its list had."""

    name = fields.String()
    state = fields.String()
    reason = fields.String(allow_none=True)
    objects = fields.Integer(allow_none=True)


class DifferenceDocument(Document):
    """`outcome` is null until it was repaired; then mended, gone, by hand or failed."""

    kind = fields.String()
    meaning = fields.String()
    place = fields.String()
    subject = fields.String()
    expected = fields.String()
    found = fields.String()
    repair = fields.String()
    outcome = fields.String(allow_none=True)


class AuditDocument(Document):
    """`state` is collecting, confirming, done, repairing or repaired."""

    id = fields.UUID()
    state = fields.String()
    request_id = fields.String()
    created_at = fields.String()
    finished_at = fields.String(allow_none=True)
    backends = fields.List(fields.Nested(AuditBackendDocument))
    differences = fields.List(fields.Nested(DifferenceDocument))


class AuditAnswer(Document):
    audit = fields.Nested(AuditDocument)
