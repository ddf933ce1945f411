"""What clients send about groups and their snapshots, and what they are answered."""

from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from api.blueprint import Body, Document
from api.schemas.fields import Description, Identifier, Name, Truth
from api.schemas.volumes import Link

STATUSES = (
    "creating",
    "available",
    "deleting",
    "error",
    "error_deleting",
    "updating",
    "in-use",
)
"""What an administrator may set a group or a group snapshot to."""


class GroupNew(Body):
    group_type = Name(required=True, validate=validate.Length(min=1))
    volume_types = fields.List(
        Name(validate=validate.Length(min=1)),
        required=True,
        validate=validate.Length(min=1, error="At least one volume type is needed."),
    )
    name = Name(allow_none=True, load_default=None)
    description = Description(allow_none=True, load_default=None)
    availability_zone = Name(allow_none=True, load_default=None)


class GroupCreate(Body):
    group = fields.Nested(GroupNew, required=True)


class GroupChange(Body):
    """Names, and volumes to add and to remove: ids, apart by commas."""

    name = Name(allow_none=True)
    description = Description(allow_none=True)
    add_volumes = fields.String(allow_none=True)
    remove_volumes = fields.String(allow_none=True)

    @validates_schema
    def _says_something(self, data: dict[str, Any], **_options: Any) -> None:
        if all(value is None for value in data.values()):
            raise ValidationError(f"At least one of {', '.join(self.fields)} is required.")


class GroupUpdate(Body):
    group = fields.Nested(GroupChange, required=True)


class GroupCopy(Body):
    """A group to be made from one of the two."""

    name = Name(allow_none=True, load_default=None)
    description = Description(allow_none=True, load_default=None)
    group_snapshot_id = Identifier(allow_none=True, load_default=None)
    source_group_id = Identifier(allow_none=True, load_default=None)

    @validates_schema
    def _has_one_source(self, data: dict[str, Any], **_options: Any) -> None:
        if bool(data["group_snapshot_id"]) == bool(data["source_group_id"]):
            raise ValidationError("Exactly one of group_snapshot_id, source_group_id is required.")


class GroupCopyBody(Body):
    copy = fields.Nested(GroupCopy, required=True, data_key="create-from-src")


class GroupDelete(Body):
    delete_volumes = Truth(data_key="delete-volumes", load_default=False)


class StatusReset(Body):
    status = fields.String(required=True, validate=validate.OneOf(STATUSES))


class GroupFailover(Body):
    allow_attached_volume = Truth(load_default=False)
    secondary_backend_id = Name(allow_none=True, load_default=None)


class OneAction(Body):
    """The body of an action: its name with its arguments, and nothing else."""

    @validates_schema
    def _is_one(self, data: dict[str, Any], **_options: Any) -> None:
        if len(data) != 1:
            names = ", ".join(field.data_key or name for name, field in self.fields.items())
            raise ValidationError(f"Exactly one action is accepted, of {names}.")


class GroupAction(OneAction):
    delete = fields.Nested(GroupDelete)
    reset_status = fields.Nested(StatusReset)
    enable_replication = fields.Raw(allow_none=True)
    disable_replication = fields.Raw(allow_none=True)
    failover_replication = fields.Nested(GroupFailover)
    list_replication_targets = fields.Raw(allow_none=True)


class GroupSnapshotNew(Body):
    group_id = Identifier(required=True)
    name = Name(allow_none=True, load_default=None)
    description = Description(allow_none=True, load_default=None)


class GroupSnapshotCreate(Body):
    group_snapshot = fields.Nested(GroupSnapshotNew, required=True)


class GroupSnapshotAction(OneAction):
    reset_status = fields.Nested(StatusReset)


class GroupDocument(Document):
    id = fields.UUID()
    name = fields.String(allow_none=True)
    description = fields.String(allow_none=True)
    status = fields.String()
    availability_zone = fields.String(allow_none=True)
    created_at = fields.String()
    group_type = fields.UUID()
    volume_types = fields.List(fields.UUID())
    group_snapshot_id = fields.UUID(allow_none=True)
    source_group_id = fields.UUID(allow_none=True)
    volumes = fields.List(fields.UUID())
    replication_status = fields.String(allow_none=True)
    project_id = fields.String()


class GroupAnswer(Document):
    group = fields.Nested(GroupDocument)


class GroupsAnswer(Document):
    groups = fields.List(fields.Nested(GroupDocument))
    groups_links = fields.List(fields.Nested(Link))


class GroupSnapshotDocument(Document):
    id = fields.UUID()
    name = fields.String(allow_none=True)
    group_id = fields.UUID()
    group_type_id = fields.UUID()
    description = fields.String(allow_none=True)
    status = fields.String()
    created_at = fields.String()
    project_id = fields.String()


class GroupSnapshotAnswer(Document):
    group_snapshot = fields.Nested(GroupSnapshotDocument)


class GroupSnapshotsAnswer(Document):
    group_snapshots = fields.List(fields.Nested(GroupSnapshotDocument))
    group_snapshots_links = fields.List(fields.Nested(Link))
