"""Bodies of QoS specs: name, consumer and the specs themselves are side by side in one object."""

import re
from typing import Any

from marshmallow import ValidationError, fields, pre_load, validate

from api.blueprint import Body, Document
from api.schemas.fields import Name, pairs

CONSUMERS = ("front-end", "back-end", "both")
"""Who enforces them: the host that attaches the volume, the driver, or each its part."""


_LIMIT = re.compile(r"(read|write|total)_(iops|bytes)_sec(_max|_per_gb|_per_gb_min)?")
"""Limits that an attaching host enforces; with `_per_gb` they are worked out for each volume."""


def limits_are_numbers(specs: dict[str, str]) -> None:
    """Refuse a limit that no host could enforce."""
    wrong = {
        key: ["It must be a whole number."]
        for key, value in specs.items()
        if _LIMIT.fullmatch(key) and not (value.isascii() and value.isdigit())
    }
    if wrong:
        raise ValidationError(wrong)


def apart(data: Any, names: tuple[str, ...]) -> Any:
    """What has one of `names`, and under `specs` what has not."""
    if not isinstance(data, dict):
        return data
    specs = {key: value for key, value in data.items() if key not in names}
    return {key: data[key] for key in names if key in data} | {"specs": specs}


class Consumer(fields.String):
    def __init__(self, **options: Any) -> None:
        known = validate.OneOf(CONSUMERS, error=f"It must be one of {', '.join(CONSUMERS)}.")
        super().__init__(validate=known, **options)


class NewQosSpecs(Body):
    name = Name(required=True, validate=validate.Length(min=1, error="It must not be empty."))
    consumer = Consumer(load_default="back-end")
    specs = pairs(validate=limits_are_numbers)

    @pre_load
    def _take_apart(self, data: Any, **_options: Any) -> Any:
        return apart(data, ("name", "consumer"))


class NewQosSpecsBody(Body):
    qos_specs = fields.Nested(NewQosSpecs, required=True)


class QosSpecsChange(Body):
    consumer = Consumer()
    specs = pairs(validate=limits_are_numbers)

    @pre_load
    def _take_apart(self, data: Any, **_options: Any) -> Any:
        if isinstance(data, dict) and "name" in data:
            raise ValidationError("It stays what it is.", "name")
        return apart(data, ("consumer",))


class QosSpecsChangeBody(Body):
    qos_specs = fields.Nested(QosSpecsChange, required=True)


class QosKeysBody(Body):
    keys = fields.List(
        fields.String(),
        required=True,
        validate=validate.Length(min=1, error="It must name at least one key."),
    )


class QosSpecsDocument(Document):
    id = fields.UUID()
    name = fields.String()
    consumer = fields.String()
    specs = fields.Dict(keys=fields.String(), values=fields.String())


class QosSpecsAnswer(Document):
    qos_specs = fields.Nested(QosSpecsDocument)
    links = fields.List(fields.Dict())


class QosSpecsListAnswer(Document):
    qos_specs = fields.List(fields.Nested(QosSpecsDocument))


class QosAssociation(Document):
    association_type = fields.String()
    id = fields.UUID()
    name = fields.String()


class QosAssociationsAnswer(Document):
    qos_associations = fields.List(fields.Nested(QosAssociation))
