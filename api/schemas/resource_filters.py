"""The answer of /resource_filters."""

from marshmallow import fields

from api.blueprint import Document


class ResourceFilterDocument(Document):
    resource = fields.String()
    filters = fields.List(fields.String())


class ResourceFiltersAnswer(Document):
    resource_filters = fields.List(fields.Nested(ResourceFilterDocument))
