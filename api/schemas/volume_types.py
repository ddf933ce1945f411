"""Bodies of volume types, their extra specs, and access to private ones."""

from collections.abc import Callable, Sequence
from typing import Any

from marshmallow import ValidationError, fields, pre_load, validate

from api.blueprint import Body, Document

SPEC_KEY = validate.Regexp(
    r"[A-Za-z0-9_.: -]{1,255}\Z",
    error="A key has 1 to 255 of the characters A-Z a-z 0-9 _ . : - and space.",
)


def printable(text: str) -> None:
    """Refuse NUL and control characters; line ends and tabs are text."""
    if any(not (c.isprintable() or c in "\n\r\t") for c in text):
        raise ValidationError("It must not contain control characters.")


def filled(text: str) -> None:
    """Refuse a name of nothing but spaces."""
    if not text.strip():
        raise ValidationError("It must not be empty.")


Checks = Sequence[Callable[[Any], Any]]

NAME: Checks = [validate.Length(min=1, max=255), filled, printable]
DESCRIPTION: Checks = [validate.Length(max=255), printable]


def specs_field(**options: Any) -> fields.Dict:
    """A mapping of extra specs: keys as SPEC_KEY says, values strings of at most 255."""
    return fields.Dict(
        keys=fields.String(validate=SPEC_KEY),
        values=fields.String(validate=[validate.Length(max=255), printable]),
        **options,
    )


class NewType(Body):
    name = fields.String(required=True, validate=NAME)
    description = fields.String(allow_none=True, validate=DESCRIPTION)
    extra_specs = specs_field(load_default=dict)
    is_public = fields.Boolean(data_key="os-volume-type-access:is_public", load_default=True)


class NewTypeBody(Body):
    volume_type = fields.Nested(NewType, required=True)


class TypeChange(Body):
    name = fields.String(allow_none=True, validate=NAME)
    description = fields.String(allow_none=True, validate=DESCRIPTION)
    is_public = fields.Boolean()


class TypeChangeBody(Body):
    volume_type = fields.Nested(TypeChange, required=True)


class ExtraSpecs(Body):
    extra_specs = specs_field(required=True)


class ExtraSpec(Body):
    """One spec, `{key: value}`; loads as `{"extra_specs": {key: value}}`."""

    extra_specs = specs_field(required=True, validate=validate.Length(equal=1))

    @pre_load
    def _wrap(self, data: Any, **_options: Any) -> Any:
        return {"extra_specs": data} if isinstance(data, dict) else data


class ProjectAccess(Body):
    project = fields.String(required=True, validate=NAME)


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
