"""Bodies of /nodes and /residues."""

from marshmallow import fields

from api.blueprint import Body, Document


class NodeAction(Body):
    """Exactly one of them, with an empty object."""

    drain = fields.Dict()
    undrain = fields.Dict()
    forget = fields.Dict()


class NodeBackendDocument(Document):
    name = fields.String()
    driver = fields.String()
    up = fields.Boolean()
    reason = fields.String(allow_none=True)
    enabled = fields.Boolean()
    disabled_reason = fields.String(allow_none=True)


class NodeDocument(Document):
    host = fields.String()
    state = fields.String()
    up = fields.Boolean()
    availability_zone = fields.String()
    incarnation = fields.Integer()
    reported_at = fields.String()
    backends = fields.List(fields.Nested(NodeBackendDocument))
    running = fields.List(fields.Raw())
    residues = fields.Integer()


class NodesAnswer(Document):
    nodes = fields.List(fields.Nested(NodeDocument))


class NodeAnswer(Document):
    node = fields.Nested(NodeDocument)


class ResidueDocument(Document):
    """`gib` is what it holds in its pool; `resume` tells that its flow goes on by itself."""

    id = fields.UUID()
    flow_id = fields.UUID()
    request_id = fields.String()
    volume_id = fields.UUID()
    host = fields.String()
    pool = fields.String(allow_none=True)
    gib = fields.Integer()
    verb = fields.String(allow_none=True)
    object = fields.String(allow_none=True)
    resume = fields.Boolean()
    epoch = fields.Integer()
    reason = fields.String()
    tries = fields.Integer()
    created_at = fields.String()


class ResiduesAnswer(Document):
    residues = fields.List(fields.Nested(ResidueDocument))
    residues_links = fields.List(fields.Dict())
