"""Bodies of attachments and of what connects a volume to a host."""

from typing import Any

from marshmallow import INCLUDE, Schema, ValidationError, fields, validate, validates_schema

from api.blueprint import Body, Document
from api.microversion import at_least
from api.schemas.fields import Identifier, without_control
from api.schemas.volumes import Link

MODE = validate.OneOf(["rw", "ro"])


def short(**options: Any) -> fields.String:
    """A text of at most 255 characters, none of them a control character."""
    length = validate.Length(max=255, error="It has at most 255 characters.")
    return fields.String(validate=[length, without_control], **options)


class Connector(Schema):
    """What a host says of itself to be given a volume; drivers read more than these."""

    class Meta:
        unknown = INCLUDE

    host = short(allow_none=True)
    mountpoint = short(allow_none=True)
    mode = fields.String(validate=MODE, allow_none=True)


class AttachmentNew(Body):
    """An attachment to make; with a connector it is connected at once. `mode` from 3.54 on."""

    volume_uuid = Identifier(required=True)
    instance_uuid = Identifier(allow_none=True, load_default=None)
    connector = fields.Nested(Connector, allow_none=True, load_default=None)
    mode = fields.String(validate=MODE, load_default=None)

    @validates_schema
    def _knows_mode(self, data: dict[str, Any], **_options: Any) -> None:
        if data["mode"] is not None and not at_least(54):
            raise ValidationError("It is known from version 3.54 on.", "mode")


class AttachmentCreate(Body):
    """The body of a create."""

    attachment = fields.Nested(AttachmentNew, required=True)


class AttachmentChange(Body):
    """What an attachment is connected with."""

    connector = fields.Nested(Connector, required=True)

    @validates_schema
    def _says_something(self, data: dict[str, Any], **_options: Any) -> None:
        if not data["connector"]:
            raise ValidationError("It must not be empty.", "connector")


class AttachmentUpdate(Body):
    """The body of an update."""

    attachment = fields.Nested(AttachmentChange, required=True)


class AttachmentAction(Body):
    """The one action that there is; what clients send with it says nothing."""

    complete = fields.Raw(data_key="os-complete", required=True, allow_none=True)


class AttachmentSummary(Document):
    """An attachment in a short list."""

    id = fields.UUID()
    status = fields.String()
    instance = fields.UUID(allow_none=True)
    volume_id = fields.UUID()


class AttachmentDetail(AttachmentSummary):
    """An attachment, with how its host reaches the volume."""

    attached_at = fields.String()
    detached_at = fields.String()
    attach_mode = fields.String(allow_none=True)
    connection_info = fields.Dict()


class AttachmentAnswer(Document):
    """One attachment."""

    attachment = fields.Nested(AttachmentDetail)


class AttachmentList(Document):
    """A page of attachments."""

    attachments = fields.List(fields.Nested(AttachmentSummary))
    attachments_links = fields.List(fields.Nested(Link))


class AttachmentDetailList(AttachmentList):
    """A page of attachments with their details."""

    attachments = fields.List(fields.Nested(AttachmentDetail))
