"""Bodies of group types and their specs."""

from typing import Any

from marshmallow import fields, pre_load

from api.blueprint import Body, Document
from api.schemas.fields import Description, Name, Truth, pairs
from api.schemas.volume_types import FILLED, ONE


class NewGroupType(Body):
    name = Name(required=True, validate=FILLED)
    description = Description(allow_none=True)
    is_public = Truth(load_default=True)
    group_specs = pairs(load_default=dict)


class NewGroupTypeBody(Body):
    group_type = fields.Nested(NewGroupType, required=True)


class GroupTypeChange(Body):
    name = Name(allow_none=True, validate=FILLED)
    description = Description(allow_none=True)
    is_public = Truth()


class GroupTypeChangeBody(Body):
    group_type = fields.Nested(GroupTypeChange, required=True)


class GroupSpecs(Body):
    group_specs = pairs(required=True)


class GroupSpec(Body):
    """One spec, `{key: value}`; loads as `{"group_specs": {key: value}}`."""

    group_specs = pairs(required=True, validate=ONE)

    @pre_load
    def _wrap(self, data: Any, **_options: Any) -> Any:
        return {"group_specs": data} if isinstance(data, dict) else data


class GroupTypeDocument(Document):
    id = fields.UUID()
    name = fields.String()
    description = fields.String(allow_none=True)
    is_public = fields.Boolean()
    group_specs = fields.Dict(keys=fields.String(), values=fields.String())


class GroupTypeAnswer(Document):
    group_type = fields.Nested(GroupTypeDocument)


class GroupTypesAnswer(Document):
    group_types = fields.List(fields.Nested(GroupTypeDocument))


class GroupSpecsAnswer(Document):
    group_specs = fields.Dict(keys=fields.String(), values=fields.String())


class GroupSpecAnswer(Document):
    """`{key: value}`."""
