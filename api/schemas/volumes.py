"""What clients send about volumes, and what they are answered."""

from typing import Any

from marshmallow import EXCLUDE, ValidationError, fields, pre_load, validate, validates_schema

from api.blueprint import Body, Document
from api.microversion import at_least
from api.schemas.fields import Description, Identifier, Name, Size, Truth, pairs, without_control

_SHORT = validate.Length(max=255, error="It has at most 255 characters.")


def _reference(**options: Any) -> fields.String:
    return fields.String(allow_none=True, validate=[_SHORT, without_control], **options)


class VolumeNew(Body):
    """A volume to create. Before 3.53 fields that are not known are ignored, as in Cinder."""

    class Meta:
        unknown = EXCLUDE

    size = Size(allow_none=True, load_default=None)
    name = Name(allow_none=True)
    display_name = Name(allow_none=True)
    description = Description(allow_none=True)
    display_description = Description(allow_none=True)
    volume_type = _reference(load_default=None)
    availability_zone = _reference(load_default=None)
    metadata = pairs(allow_none=True, load_default=None)
    snapshot_id = Identifier(allow_none=True, load_default=None)
    source_volid = Identifier(allow_none=True, load_default=None)
    consistencygroup_id = Identifier(allow_none=True, load_default=None)
    group_id = _reference(load_default=None)
    backup_id = Identifier(allow_none=True, load_default=None)
    image_ref = _reference(data_key="imageRef", load_default=None)
    image_id = _reference(load_default=None)
    multiattach = Truth(allow_none=True, load_default=False)

    @pre_load
    def _refuse_unknown(self, data: Any, **_options: Any) -> Any:
        if at_least(53) and isinstance(data, dict):
            known = {field.data_key or name for name, field in self.fields.items()}
            unknown = sorted(set(data) - known)
            if unknown:
                raise ValidationError(dict.fromkeys(unknown, self.error_messages["unknown"]))
        return data

    @validates_schema
    def _needs_size(self, data: dict[str, Any], **_options: Any) -> None:
        sources = ("snapshot_id", "source_volid", "backup_id")
        if data["size"] is None and not any(data[source] for source in sources):
            raise ValidationError(str(self.fields["size"].error_messages["size"]), "size")
        if data["multiattach"]:
            raise ValidationError("Ask for a volume type with the spec multiattach.", "multiattach")


class VolumeCreate(Body):
    """The body of a create."""

    volume = fields.Nested(VolumeNew, required=True)
    scheduler_hints = fields.Dict(
        keys=fields.String(),
        data_key="OS-SCH-HNT:scheduler_hints",
        allow_none=True,
        load_default=None,
    )


class VolumeChange(Body):
    """What may change of a volume by itself; `metadata` replaces what there was."""

    name = Name(allow_none=True)
    description = Description(allow_none=True)
    display_name = Name(allow_none=True)
    display_description = Description(allow_none=True)
    metadata = pairs()

    @validates_schema
    def _says_something(self, data: dict[str, Any], **_options: Any) -> None:
        if not data and at_least(53):
            raise ValidationError(f"At least one of {', '.join(self.fields)} is required.")


class VolumeUpdate(Body):
    """The body of an update."""

    volume = fields.Nested(VolumeChange, required=True)


class Metadata(Body):
    """A volume's metadata."""

    metadata = pairs(required=True)


class MetadataItem(Body):
    """One pair of a volume's metadata."""

    meta = pairs(required=True)


class Link(Document):
    """A link to a resource."""

    rel = fields.String()
    href = fields.String()


class VolumeSummary(Document):
    """A volume in a short list."""

    id = fields.String()
    name = fields.String(allow_none=True)
    links = fields.List(fields.Nested(Link))


class VolumeDetail(VolumeSummary):
    """A volume; fields of later microversions and of administrators come on top."""

    status = fields.String()
    size = fields.Integer(metadata={"description": "GiB"})
    availability_zone = fields.String(allow_none=True)
    created_at = fields.String()
    updated_at = fields.String(allow_none=True)
    description = fields.String(allow_none=True)
    volume_type = fields.String(allow_none=True)
    snapshot_id = fields.String(allow_none=True)
    source_volid = fields.String(allow_none=True)
    metadata = fields.Dict(keys=fields.String(), values=fields.String())
    user_id = fields.String()
    bootable = fields.String(validate=validate.OneOf(["true", "false"]))
    encrypted = fields.Boolean()
    replication_status = fields.String(allow_none=True)
    consistencygroup_id = fields.String(allow_none=True)
    multiattach = fields.Boolean()
    attachments = fields.List(fields.Dict())


class VolumeAnswer(Document):
    """One volume."""

    volume = fields.Nested(VolumeDetail)


class VolumeList(Document):
    """A page of volumes; `count` from 3.45 on where it was asked for."""

    volumes = fields.List(fields.Nested(VolumeSummary))
    volumes_links = fields.List(fields.Nested(Link))
    count = fields.Integer()


class VolumeDetailList(VolumeList):
    """A page of volumes with their details."""

    volumes = fields.List(fields.Nested(VolumeDetail))


class Totals(Document):
    """Count and size of the volumes of a project."""

    volume_summary = fields.Dict(data_key="volume-summary")
