"""Answers of /messages."""

from marshmallow import fields

from api.blueprint import Document


class MessageDocument(Document):
    id = fields.UUID()
    request_id = fields.String()
    event_id = fields.String(metadata={"description": "VOLUME_<resource>_<action>_<detail>"})
    resource_type = fields.String()
    resource_uuid = fields.UUID()
    message_level = fields.String()
    user_message = fields.String()
    created_at = fields.String()
    guaranteed_until = fields.String()
    links = fields.List(fields.Dict())


class MessageAnswer(Document):
    message = fields.Nested(MessageDocument)


class MessagesAnswer(Document):
    messages = fields.List(fields.Nested(MessageDocument))
