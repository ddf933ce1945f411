"""The answers of /flows."""

from marshmallow import fields

from api.blueprint import Body, Document


class FlowAction(Body):
    """Exactly one of them, with an empty object."""

    retry = fields.Dict()
    cancel = fields.Dict()


class StepDocument(Document):
    """One line of the journal; `undo` tells that it is a step's compensation."""

    seq = fields.Integer()
    step = fields.String()
    undo = fields.Boolean()
    outcome = fields.String()
    node = fields.String(allow_none=True)
    attempt = fields.Integer()
    epoch = fields.Integer()
    started_at = fields.String()
    finished_at = fields.String()
    duration_ms = fields.Float()
    result = fields.Dict()
    error = fields.Dict(allow_none=True)


class FlowDocument(Document):
    id = fields.UUID()
    kind = fields.String()
    state = fields.String()
    project_id = fields.String()
    user_id = fields.String()
    request_id = fields.String()
    resource_id = fields.UUID()
    admitted = fields.Boolean()
    attempt = fields.Integer()
    epoch = fields.Integer()
    excluded_hosts = fields.List(fields.String())
    error = fields.Dict(allow_none=True)
    created_at = fields.String()
    finished_at = fields.String(allow_none=True)
    duration_ms = fields.Float(allow_none=True)
    steps = fields.List(fields.Nested(StepDocument))


class FlowsAnswer(Document):
    flows = fields.List(fields.Nested(FlowDocument))
    flows_links = fields.List(fields.Dict())


class FlowAnswer(Document):
    """`flow` for a flow's id; `flows`, the newest first, for a request's or a resource's."""

    flow = fields.Nested(FlowDocument)
    flows = fields.List(fields.Nested(FlowDocument))
