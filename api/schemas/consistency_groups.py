"""What clients send about consistency groups and their snapshots, and what they are answered."""

from typing import Any

from marshmallow import ValidationError, fields, validates_schema

from api.blueprint import Body, Document
from api.schemas.fields import Description, Identifier, Name, Truth
from api.schemas.groups import GroupChange
from api.schemas.volumes import Link


class Named(Body):
    """What all of them have; the rest is what cinderclient fills in, and Cinder ignores."""

    name = Name(allow_none=True, load_default=None)
    description = Description(allow_none=True, load_default=None)
    user_id = fields.Raw(allow_none=True, load_only=True)
    project_id = fields.Raw(allow_none=True, load_only=True)
    status = fields.Raw(allow_none=True, load_only=True)


class ConsistencyGroupNew(Named):
    """`volume_types` are names or ids, apart by commas."""

    volume_types = fields.String(required=True)
    availability_zone = Name(allow_none=True, load_default=None)


class ConsistencyGroupCreate(Body):
    consistencygroup = fields.Nested(ConsistencyGroupNew, required=True)


class ConsistencyGroupCopy(Named):
    cgsnapshot_id = Identifier(allow_none=True, load_default=None)
    source_cgid = Identifier(allow_none=True, load_default=None)

    @validates_schema
    def _has_one_source(self, data: dict[str, Any], **_options: Any) -> None:
        if bool(data["cgsnapshot_id"]) == bool(data["source_cgid"]):
            raise ValidationError("Exactly one of cgsnapshot_id, source_cgid is required.")


class ConsistencyGroupCopyBody(Body):
    copy = fields.Nested(ConsistencyGroupCopy, required=True, data_key="consistencygroup-from-src")


class ConsistencyGroupDelete(Body):
    force = Truth(load_default=False)


class ConsistencyGroupDeleteBody(Body):
    consistencygroup = fields.Nested(ConsistencyGroupDelete, required=True)


class ConsistencyGroupUpdateBody(Body):
    consistencygroup = fields.Nested(GroupChange, required=True)


class CgsnapshotNew(Named):
    consistencygroup_id = Identifier(required=True)


class CgsnapshotCreate(Body):
    cgsnapshot = fields.Nested(CgsnapshotNew, required=True)


class ConsistencyGroupDocument(Document):
    id = fields.UUID()
    name = fields.String(allow_none=True)
    description = fields.String(allow_none=True)
    status = fields.String()
    availability_zone = fields.String(allow_none=True)
    created_at = fields.String()
    volume_types = fields.List(fields.UUID())


class ConsistencyGroupAnswer(Document):
    consistencygroup = fields.Nested(ConsistencyGroupDocument)


class ConsistencyGroupsAnswer(Document):
    consistencygroups = fields.List(fields.Nested(ConsistencyGroupDocument))
    consistencygroups_links = fields.List(fields.Nested(Link))


class CgsnapshotDocument(Document):
    id = fields.UUID()
    name = fields.String(allow_none=True)
    description = fields.String(allow_none=True)
    status = fields.String()
    created_at = fields.String()
    consistencygroup_id = fields.UUID()


class CgsnapshotAnswer(Document):
    cgsnapshot = fields.Nested(CgsnapshotDocument)


class CgsnapshotsAnswer(Document):
    cgsnapshots = fields.List(fields.Nested(CgsnapshotDocument))
    cgsnapshots_links = fields.List(fields.Nested(Link))
