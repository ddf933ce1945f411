"""Bodies of what is done to a volume by POST …/action."""

from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from api.blueprint import Body
from api.schemas.attachments import MODE, Connector, short
from api.schemas.fields import Identifier, Name, Size, Truth, pairs
from db.transitions import SETTABLE

ATTACH_STATUSES = (
    "attached",
    "attaching",
    "detached",
    "reserved",
    "error_attaching",
    "error_detaching",
    "deleted",
)
MIGRATION_STATUSES = ("none", "migrating", "error", "success", "completing", "starting")


class Extend(Body):
    """The new size in GiB."""

    new_size = Size(required=True)


class ExtendCompletion(Body):
    """Whether whoever uses the volume could not grow it."""

    error = Truth(load_default=False)


class ResetStatus(Body):
    """What to write over."""

    status = fields.String(validate=validate.OneOf(SETTABLE))
    attach_status = fields.String(validate=validate.OneOf(ATTACH_STATUSES))
    migration_status = fields.String(validate=validate.OneOf(MIGRATION_STATUSES))

    @validates_schema
    def _says_something(self, data: dict[str, Any], **_options: Any) -> None:
        if not data:
            raise ValidationError("Must specify 'status', 'attach_status' or 'migration_status'.")


class SetBootable(Body):
    """Whether a server may boot from the volume."""

    bootable = Truth(required=True)


class SetReadonly(Body):
    """Whether the volume may only be read."""

    readonly = Truth(required=True)


class Attach(Body):
    """Who has the volume from now on, and where they see it."""

    instance_uuid = Identifier(allow_none=True, load_default=None)
    host_name = short(allow_none=True, load_default=None)
    mountpoint = short(required=True)
    mode = fields.String(validate=MODE, load_default="rw")

    @validates_schema
    def _says_who(self, data: dict[str, Any], **_options: Any) -> None:
        if not data["instance_uuid"] and not data["host_name"]:
            raise ValidationError("One of instance_uuid and host_name is required.")
        if not data["mountpoint"]:
            raise ValidationError("It must not be empty.", "mountpoint")


class Detach(Body):
    """Which attachment, where the volume has several."""

    attachment_id = Identifier(allow_none=True, load_default=None)


class ForceDetach(Detach):
    """The same; with a connector its connection is ended too."""

    connector = fields.Nested(Connector, allow_none=True, load_default=None)


class InitializeConnection(Body):
    """The host that is to reach the volume."""

    connector = fields.Nested(Connector, required=True)


class TerminateConnection(Body):
    """The host that is not to reach it any more; null where nobody knows it."""

    connector = fields.Nested(Connector, required=True, allow_none=True)


class Revert(Body):
    """The snapshot to go back to, which must be the latest."""

    snapshot_id = Identifier(required=True)


class Retype(Body):
    """The new type, by id or name, and whether the volume may be moved to another pool for it."""

    new_type = Name(required=True, validate=validate.Length(min=1, error="It must not be empty."))
    migration_policy = fields.String(
        load_default="never",
        validate=validate.OneOf(["never", "on-demand"], error="It must be one of {choices}."),
    )


class ImageMetadata(Body):
    """Pairs of a volume's image metadata."""

    metadata = pairs(required=True)


class ImageMetadataKey(Body):
    """The key of one such pair."""

    key = short(required=True)


class VolumeAction(Body):
    """The body of an action: its name with its arguments, and nothing else."""

    extend = fields.Nested(Extend, data_key="os-extend")
    extend_completion = fields.Nested(ExtendCompletion, data_key="os-extend_volume_completion")
    reset_status = fields.Nested(ResetStatus, data_key="os-reset_status")
    force_delete = fields.Raw(data_key="os-force_delete", allow_none=True)
    set_bootable = fields.Nested(SetBootable, data_key="os-set_bootable")
    set_readonly = fields.Nested(SetReadonly, data_key="os-update_readonly_flag")
    reserve = fields.Raw(data_key="os-reserve", allow_none=True)
    unreserve = fields.Raw(data_key="os-unreserve", allow_none=True)
    begin_detaching = fields.Raw(data_key="os-begin_detaching", allow_none=True)
    roll_detaching = fields.Raw(data_key="os-roll_detaching", allow_none=True)
    attach = fields.Nested(Attach, data_key="os-attach")
    detach = fields.Nested(Detach, data_key="os-detach", allow_none=True)
    force_detach = fields.Nested(ForceDetach, data_key="os-force_detach")
    initialize_connection = fields.Nested(InitializeConnection, data_key="os-initialize_connection")
    terminate_connection = fields.Nested(TerminateConnection, data_key="os-terminate_connection")
    revert = fields.Nested(Revert, data_key="revert")
    retype = fields.Nested(Retype, data_key="os-retype")
    unmanage = fields.Raw(data_key="os-unmanage", allow_none=True)
    set_image_metadata = fields.Nested(ImageMetadata, data_key="os-set_image_metadata")
    unset_image_metadata = fields.Nested(ImageMetadataKey, data_key="os-unset_image_metadata")
    show_image_metadata = fields.Raw(data_key="os-show_image_metadata", allow_none=True)
    migrate = fields.Dict(data_key="os-migrate_volume")
    migrate_completion = fields.Dict(data_key="os-migrate_volume_completion")
    upload_image = fields.Dict(data_key="os-volume_upload_image")
    reimage = fields.Dict(data_key="os-reimage")

    @validates_schema
    def _is_one(self, data: dict[str, Any], **_options: Any) -> None:
        if len(data) != 1:
            names = ", ".join(field.data_key or "" for field in self.fields.values())
            raise ValidationError(f"Exactly one action is accepted, of {names}.")
