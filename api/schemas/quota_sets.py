"""Bodies of quota sets and quota class sets."""

from marshmallow import fields

from api.blueprint import Body, Document


class QuotaSetBody(Body):
    """Names and limits are checked by the view: which are known depends on the volume types."""

    quota_set = fields.Dict(keys=fields.String(), required=True)


class QuotaClassSetBody(Body):
    quota_class_set = fields.Dict(keys=fields.String(), required=True)


class QuotaSetAnswer(Document):
    """Limits by resource; with `usage`, an object with limit, in_use and reserved for each."""

    quota_set = fields.Dict(keys=fields.String())


class QuotaClassSetAnswer(Document):
    quota_class_set = fields.Dict(keys=fields.String(), values=fields.Raw())
