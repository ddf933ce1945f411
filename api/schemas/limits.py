"""The answer of /limits."""

from marshmallow import fields

from api.blueprint import Document


class LimitsDocument(Document):
    rate = fields.List(fields.Dict())
    absolute = fields.Dict(keys=fields.String(), values=fields.Integer())


class LimitsAnswer(Document):
    limits = fields.Nested(LimitsDocument)
