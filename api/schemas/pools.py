"""The answer of scheduler-stats."""

from marshmallow import fields

from api.blueprint import Document


class PoolDocument(Document):
    """`capabilities` only with `detail=true`; sizes in GiB."""

    name = fields.String()
    capabilities = fields.Dict(keys=fields.String())


class PoolsAnswer(Document):
    pools = fields.List(fields.Nested(PoolDocument))
