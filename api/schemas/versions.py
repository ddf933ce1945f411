"""The answers of the version documents and of the list of extensions."""

from marshmallow import fields

from api.blueprint import Document


class VersionDocument(Document):
    id = fields.String()
    status = fields.String()
    version = fields.String()
    min_version = fields.String()
    updated = fields.String()
    links = fields.List(fields.Dict())
    media_types = fields.List(fields.Dict(), data_key="media-types")


class VersionsAnswer(Document):
    versions = fields.List(fields.Nested(VersionDocument))


class ExtensionDocument(Document):
    alias = fields.String()
    name = fields.String()
    description = fields.String()
    updated = fields.String()
    links = fields.List(fields.Dict())


class ExtensionsAnswer(Document):
    extensions = fields.List(fields.Nested(ExtensionDocument))


class ExtensionAnswer(Document):
    extension = fields.Nested(ExtensionDocument)
