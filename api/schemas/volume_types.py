"""Bodies of volume types, their extra specs, and access to private ones."""

from typing import Any

from marshmallow import fields, pre_load, validate

from api.blueprint import Body, Document
from api.schemas.fields import Description, Name, Truth, pairs

ONE = validate.Length(equal=1, error="It must be one key with its value.")
FILLED = validate.Length(min=1, error="It must not be empty.")


class NewType(Body):
    name = Name(required=True, validate=FILLED)
    description = Description(allow_none=True)
    extra_specs = pairs(load_default=dict)
    is_public = Truth(data_key="os-volume-type-access:is_public", load_default=True)


class NewTypeBody(Body):
    volume_type = fields.Nested(NewType, required=True)


class TypeChange(Body):
    name = Name(allow_none=True, validate=FILLED)
    description = Description(allow_none=True)
    is_public = Truth()


class TypeChangeBody(Body):
    volume_type = fields.Nested(TypeChange, required=True)


class ExtraSpecs(Body):
    extra_specs = pairs(required=True)


class ExtraSpec(Body):
    """One spec, `{key: value}`; loads as `{"extra_specs": {key: value}}`."""

    extra_specs = pairs(required=True, validate=ONE)

    @pre_load
    def _wrap(self, data: Any, **_options: Any) -> Any:
        return {"extra_specs": data} if isinstance(data, dict) else data


class ProjectAccess(Body):
    project = Name(required=True, validate=FILLED)


class TypeAction(Body):
    add = fields.Nested(ProjectAccess, data_key="addProjectAccess")
    remove = fields.Nested(ProjectAccess, data_key="removeProjectAccess")


class VolumeTypeDocument(Document):
    id = fields.UUID()
    name = fields.String()
    description = fields.String(allow_none=True)
    is_public = fields.Boolean()
    access_is_public = fields.Boolean(data_key="os-volume-type-access:is_public")
    extra_specs = fields.Dict(keys=fields.String(), values=fields.String())
    qos_specs_id = fields.UUID(allow_none=True)


class VolumeTypeAnswer(Document):
    volume_type = fields.Nested(VolumeTypeDocument)


class VolumeTypesAnswer(Document):
    volume_types = fields.List(fields.Nested(VolumeTypeDocument))


class ExtraSpecsAnswer(Document):
    extra_specs = fields.Dict(keys=fields.String(), values=fields.String())


class ExtraSpecAnswer(Document):
    """`{key: value}`."""


class TypeAccessDocument(Document):
    volume_type_id = fields.UUID()
    project_id = fields.String()


class TypeAccessAnswer(Document):
    volume_type_access = fields.List(fields.Nested(TypeAccessDocument))
