"""Bodies of /clusters."""

from marshmallow import fields

from api.blueprint import Body, Document
from api.schemas.fields import Name
from api.schemas.services import FILLED


class ClusterBody(Body):
    name = Name(required=True, validate=FILLED)
    binary = Name(load_default="cinder-volume")
    disabled_reason = Name(allow_none=True)


class ClustersAnswer(Document):
    clusters = fields.List(fields.Dict())
