"""Bodies of volume types, their extra specs, and access to private ones."""

from typing import Any

from marshmallow import ValidationError, fields, pre_load, validate

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


class KeySize(fields.Field[int]):
    """Bits, as an integer or as digits in a string."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"metadata": {"type": ["integer", "string", "null"]}, **options})

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_options: Any) -> int:
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**31:
            raise ValidationError("It must be an integer from 0 on (bits), or null.")
        return value


LOCATION = validate.OneOf(("front-end", "back-end"), error="It must be front-end or back-end.")


class EncryptionChange(Body):
    provider = Name(validate=FILLED)
    cipher = Name(allow_none=True)
    key_size = KeySize(allow_none=True)
    control_location = fields.String(validate=LOCATION)


class EncryptionChangeBody(Body):
    encryption = fields.Nested(EncryptionChange, required=True)


class NewEncryption(EncryptionChange):
    provider = Name(required=True, validate=FILLED)
    control_location = fields.String(required=True, validate=LOCATION)


class EncryptionBody(Body):
    encryption = fields.Nested(NewEncryption, required=True)


class DefaultType(Body):
    volume_type = Name(required=True, validate=FILLED)


class DefaultTypeBody(Body):
    default_type = fields.Nested(DefaultType, required=True)


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


class EncryptionDocument(Document):
    """Empty for a type whose volumes are not encrypted."""

    volume_type_id = fields.UUID()
    encryption_id = fields.UUID()
    provider = fields.String()
    cipher = fields.String(allow_none=True)
    key_size = fields.Integer(allow_none=True, metadata={"description": "Bits"})
    control_location = fields.String()
    created_at = fields.String()
    updated_at = fields.String(allow_none=True)
    deleted_at = fields.String(allow_none=True)
    deleted = fields.Boolean()


class EncryptionAnswer(Document):
    encryption = fields.Nested(EncryptionDocument)


class EncryptionItem(Document):
    """`{key: value}`."""


class DefaultTypeDocument(Document):
    project_id = fields.String()
    volume_type_id = fields.UUID()


class DefaultTypeAnswer(Document):
    default_type = fields.Nested(DefaultTypeDocument)


class DefaultTypesAnswer(Document):
    default_types = fields.List(fields.Nested(DefaultTypeDocument))
