"""The answers of os-hosts."""

from marshmallow import fields

from api.blueprint import Document


class HostDocument(Document):
    host_name = fields.String()
    service = fields.String()
    zone = fields.String()
    service_status = fields.String(data_key="service-status")
    service_state = fields.String(data_key="service-state")
    last_update = fields.String(data_key="last-update", allow_none=True)


class HostsAnswer(Document):
    hosts = fields.List(fields.Nested(HostDocument))


class HostAnswer(Document):
    """A list of `{"resource": …}`: the total first, then one for each project."""

    host = fields.List(fields.Dict())
