"""Bodies of what takes over volumes and snapshots that are on the storage already."""

from marshmallow import fields, validate

from api.blueprint import Body, Document
from api.schemas.fields import Description, Identifier, Name, Truth, pairs, without_control
from api.schemas.services import FILLED


def _reference() -> fields.Dict:
    return fields.Dict(
        keys=fields.String(
            validate=validate.OneOf(
                ["source-name", "source-id"], error="It must be one of {choices}."
            )
        ),
        values=fields.String(validate=[FILLED, validate.Length(max=255), without_control]),
        required=True,
        validate=validate.Length(equal=1, error="It must have one of source-name and source-id."),
    )


class VolumeToManage(Body):
    """A volume on a backend; `ref` is what that knows it by. No `cluster` (3.16) is ever found."""

    host = Name(allow_none=True)
    cluster = Name(allow_none=True)
    ref = _reference()
    name = Name(allow_none=True)
    description = Description(allow_none=True)
    volume_type = Name(allow_none=True)
    availability_zone = Name(allow_none=True)
    metadata = pairs(allow_none=True)
    bootable = Truth(allow_none=True)


class VolumeManage(Body):
    volume = fields.Nested(VolumeToManage, required=True)


class SnapshotToManage(Body):
    """A snapshot of a volume that is managed."""

    volume_id = Identifier(required=True)
    ref = _reference()
    name = Name(allow_none=True)
    description = Description(allow_none=True)
    metadata = pairs(allow_none=True)


class SnapshotManage(Body):
    snapshot = fields.Nested(SnapshotToManage, required=True)


class ManageableDocument(Document):
    """What could be managed: `size` in GiB; in detail with why not, and whose it is already."""

    reference = fields.Dict()
    size = fields.Integer()
    safe_to_manage = fields.Boolean()
    reason_not_safe = fields.String(allow_none=True)
    cinder_id = fields.String(allow_none=True)
    extra_info = fields.String(allow_none=True)


class ManageableVolumes(Document):
    manageable_volumes = fields.List(
        fields.Nested(ManageableDocument), data_key="manageable-volumes"
    )


class ManageableSnapshots(Document):
    """Each with the `source_reference` of its volume, where the backend tells it."""

    manageable_snapshots = fields.List(
        fields.Nested(ManageableDocument), data_key="manageable-snapshots"
    )
