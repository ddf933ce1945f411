"""Bodies of volume transfers."""

from marshmallow import fields, validate

from api.blueprint import Body, Document
from api.schemas.fields import Identifier, Name, Truth


class NewTransfer(Body):
    volume_id = Identifier(required=True)
    name = Name(allow_none=True, load_default=None)
    no_snapshots = Truth(metadata={"description": "Leave the volume's snapshots behind (3.55)"})


class NewTransferBody(Body):
    transfer = fields.Nested(NewTransfer, required=True)


class Acceptance(Body):
    auth_key = fields.String(
        required=True, validate=validate.Length(min=1, max=255, error="It must not be empty.")
    )


class AcceptanceBody(Body):
    accept = fields.Nested(Acceptance, required=True)


class TransferDocument(Document):
    id = fields.UUID()
    volume_id = fields.UUID()
    name = fields.String(allow_none=True)
    links = fields.List(fields.Dict())
    created_at = fields.String()
    auth_key = fields.String(metadata={"description": "Shown once, by the create"})
    no_snapshots = fields.Boolean()
    source_project_id = fields.String()
    destination_project_id = fields.String(allow_none=True)
    accepted = fields.Boolean()


class TransferAnswer(Document):
    transfer = fields.Nested(TransferDocument)


class TransfersAnswer(Document):
    transfers = fields.List(fields.Nested(TransferDocument))
