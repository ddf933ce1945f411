"""Fields that several resources share, with errors that say what is accepted."""

import re
from typing import Any

from marshmallow import ValidationError, fields, validate

from api.query import parse_flag

MAX_SIZE = 2**31 - 1
"""GiB; what the size's column holds, and Cinder's limit."""

UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_SPEC_KEY = re.compile(r"[a-zA-Z0-9_:. -]{1,255}")
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_FORBIDDEN_IN_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


def is_uuid(text: str) -> bool:
    """Whether `text` is a UUID in its usual form."""
    return UUID.fullmatch(text) is not None


def without_control(text: str) -> None:
    """Refuse control characters and lone surrogates: no database and no terminal takes them."""
    if _FORBIDDEN.search(text):
        raise ValidationError("It must not contain control characters.")


class Name(fields.String):
    """A name: at most 255 characters, none of them a control character; outer blanks go."""

    forbidden = _FORBIDDEN

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> Any:
        text = str(super()._deserialize(value, attr, data, **options)).strip()
        if len(text) > 255:
            raise ValidationError(f"It has {len(text)} characters; at most 255 are accepted.")
        if self.forbidden.search(text):
            raise ValidationError("It must not contain control characters.")
        return text


class Description(Name):
    """A text: at most 255 characters; it may have several lines."""

    forbidden = _FORBIDDEN_IN_TEXT


class Size(fields.Field[int]):
    """GiB as an integer or as digits in a string, from `minimum` to MAX_SIZE."""

    default_error_messages = {  # noqa: RUF012  # as marshmallow declares it
        "size": f"It must be an integer from 1 to {MAX_SIZE} (GiB)."
    }

    def __init__(self, **options: Any) -> None:
        described = {"type": ["integer", "string"], "minimum": 1, "maximum": MAX_SIZE}
        super().__init__(**{"metadata": described, **options})

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_options: Any) -> int:
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_SIZE:
            raise self.make_error("size")
        return value


class Truth(fields.Field[bool]):
    """A boolean, or a word for one."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_options: Any) -> bool:
        known = parse_flag(value) if isinstance(value, str) else value
        if not isinstance(known, bool):
            raise ValidationError("It must be a boolean, true or false.")
        return known


class Identifier(fields.String):
    """A UUID."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> Any:
        if not isinstance(value, str) or not is_uuid(value):
            raise ValidationError("It must be a UUID.")
        return super()._deserialize(value, attr, data, **options)


def pairs(**options: Any) -> fields.Dict:
    """Metadata or extra specs: keys of letters, digits and `_:. -`, values of up to 255."""
    return fields.Dict(
        keys=fields.String(
            validate=validate.Regexp(
                re.compile(rf"(?:{_SPEC_KEY.pattern})\Z"),
                error="A key is 1 to 255 letters, digits, blanks or any of '_ : . -'.",
            )
        ),
        values=fields.String(
            validate=[
                validate.Length(max=255, error="A value has at most 255 characters."),
                without_control,
            ]
        ),
        **options,
    )


def is_key(text: str) -> bool:
    """Whether `text` can be the key of a pair."""
    return _SPEC_KEY.fullmatch(text) is not None
