"""The answers of the health checks."""

from marshmallow import fields

from api.blueprint import Document


class HealthAnswer(Document):
    status = fields.String(metadata={"enum": ["ok", "unavailable"]})
    reasons = fields.Dict(
        keys=fields.String(), values=fields.String(), metadata={"description": "By what fails"}
    )
