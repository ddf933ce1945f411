"""The answers of /dead-letters."""

from marshmallow import fields

from api.blueprint import Body, Document


class DeadLetterAction(Body):
    """Exactly one of them, with an empty object."""

    replay = fields.Dict()


class DeadLetterDocument(Document):
    """`message` only where one is shown: its arguments with secrets masked, or its size."""

    id = fields.UUID()
    task = fields.String()
    queue = fields.String()
    reason = fields.String()
    created_at = fields.String()
    message = fields.Dict()


class DeadLettersAnswer(Document):
    dead_letters = fields.List(fields.Nested(DeadLetterDocument))
    dead_letters_links = fields.List(fields.Dict())


class DeadLetterAnswer(Document):
    dead_letter = fields.Nested(DeadLetterDocument)
