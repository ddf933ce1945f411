"""What clients send about snapshots, and what they are answered."""

from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from api.blueprint import Body, Document
from api.microversion import at_least
from api.schemas.fields import Description, Identifier, Name, Truth, pairs
from api.schemas.volumes import Link
from db.transitions import SNAPSHOT_SETTABLE

_ANY_PROGRESS = 100


class SnapshotNew(Body):
    """A snapshot to take; a name may come under its older name too."""

    volume_id = Identifier(required=True)
    name = Name(allow_none=True)
    display_name = Name(allow_none=True)
    description = Description(allow_none=True)
    display_description = Description(allow_none=True)
    metadata = pairs(allow_none=True, load_default=None)
    force = Truth(load_default=None)

    @validates_schema
    def _needs_no_force(self, data: dict[str, Any], **_options: Any) -> None:
        if at_least(66) and data["force"] is False:
            raise ValidationError(
                "Since microversion 3.66 the 'force' option is invalid for this request. For "
                "backward compatibility, however, when the 'force' flag is passed with a value "
                "evaluating to True, it is silently ignored.",
                "force",
            )


class SnapshotCreate(Body):
    """The body of a create."""

    snapshot = fields.Nested(SnapshotNew, required=True)


class SnapshotChange(Body):
    """What may change of a snapshot by itself."""

    name = Name(allow_none=True)
    description = Description(allow_none=True)
    display_name = Name(allow_none=True)
    display_description = Description(allow_none=True)

    @validates_schema
    def _says_something(self, data: dict[str, Any], **_options: Any) -> None:
        if not data:
            raise ValidationError(f"At least one of {', '.join(self.fields)} is required.")


class SnapshotUpdate(Body):
    """The body of an update."""

    snapshot = fields.Nested(SnapshotChange, required=True)


class SnapshotReset(Body):
    """The status to write over."""

    status = fields.String(required=True, validate=validate.OneOf(SNAPSHOT_SETTABLE))


class Progress(fields.String):
    """A percentage: a whole number of 0 to 100 with or without its sign."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> Any:
        text = str(super()._deserialize(value, attr, data, **options)).removesuffix("%")
        if not (text.isascii() and text.isdigit() and int(text) <= _ANY_PROGRESS):
            raise ValidationError("It must be a percentage, from 0% to 100%.")
        return f"{int(text)}%"


class SnapshotStatusUpdate(Body):
    """How far a snapshot that is being made or deleted has come, as its maker says."""

    status = fields.String(required=True, validate=validate.OneOf(SNAPSHOT_SETTABLE))
    progress = Progress(allow_none=True, load_default=None)


class SnapshotAction(Body):
    """The body of an action: its name with its arguments, and nothing else."""

    reset_status = fields.Nested(SnapshotReset, data_key="os-reset_status")
    update_status = fields.Nested(SnapshotStatusUpdate, data_key="os-update_snapshot_status")
    force_delete = fields.Raw(data_key="os-force_delete", allow_none=True)
    unmanage = fields.Raw(data_key="os-unmanage", allow_none=True)

    @validates_schema
    def _is_one(self, data: dict[str, Any], **_options: Any) -> None:
        if len(data) != 1:
            names = ", ".join(field.data_key or "" for field in self.fields.values())
            raise ValidationError(f"Exactly one action is accepted, of {names}.")


class SnapshotSummary(Document):
    """A snapshot in a short list."""

    id = fields.String()
    created_at = fields.String()
    updated_at = fields.String(allow_none=True)
    name = fields.String(allow_none=True)
    description = fields.String(allow_none=True)
    volume_id = fields.String()
    status = fields.String()
    size = fields.Integer(metadata={"description": "GiB"})
    metadata = fields.Dict(keys=fields.String(), values=fields.String())


class SnapshotDetail(SnapshotSummary):
    """A snapshot; fields of later microversions come on top."""

    project_id = fields.String(data_key="os-extended-snapshot-attributes:project_id")
    progress = fields.String(data_key="os-extended-snapshot-attributes:progress", allow_none=True)


class SnapshotAnswer(Document):
    """One snapshot."""

    snapshot = fields.Nested(SnapshotDetail)


class SnapshotList(Document):
    """A page of snapshots; `count` from 3.45 on where it was asked for."""

    snapshots = fields.List(fields.Nested(SnapshotSummary))
    snapshots_links = fields.List(fields.Nested(Link))
    count = fields.Integer()


class SnapshotDetailList(SnapshotList):
    """A page of snapshots with their details."""

    snapshots = fields.List(fields.Nested(SnapshotDetail))
