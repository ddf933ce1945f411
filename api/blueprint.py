"""Blueprints and body parsing: flask-smorest's, with refusals in the v3 API's words."""

import json
import re
from collections.abc import Iterator
from typing import Any, NoReturn

import flask_smorest
from flask import Request, request
from marshmallow import INCLUDE, RAISE, Schema, ValidationError, fields
from webargs.core import is_json, missing
from webargs.flaskparser import FlaskParser

from api.errors import FAULT_NAMES, OTHER_FAULT, ApiError

SHOWN_CHARACTERS = 100

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class BodyParser(FlaskParser):
    """Reads a JSON body; refuses with 400 naming the field, its value and what is accepted."""

    DEFAULT_VALIDATION_STATUS = 400

    def _raw_load_json(self, req: Request) -> Any:
        body = req.get_data(cache=True)
        if not body:
            return missing
        if not is_json(req.mimetype):
            raise ApiError(415, "Unsupported Content-Type: the body must be application/json.")
        try:
            document = json.loads(body, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            raise ApiError(400, f"Malformed request body: {error}") from error
        if b"\\u" in body:  # only an escape can bring what no database takes
            _refuse_unstorable(document)
        return document

    def handle_error(self, error: ValidationError, *_args: Any, **_options: Any) -> NoReturn:
        messages: Any = error.messages  # below the place they were found in, such as `json`
        given = {"json": request.get_json(silent=True)} if request.data else {}
        raise ApiError(400, describe(messages, given)) from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")


def _refuse_unstorable(value: Any, field: str = "body") -> None:
    if isinstance(value, dict):
        for key, below in value.items():
            _refuse_unstorable(key, field)
            _refuse_unstorable(below, key)
    elif isinstance(value, list):
        for below in value:
            _refuse_unstorable(below, field)
    elif isinstance(value, str) and _UNSTORABLE.search(value):
        raise ApiError(
            400,
            f"Invalid input for {field}: {shown(value)} has NUL or half a surrogate pair in it.",
        )


class Blueprint(flask_smorest.Blueprint):
    """A resource's blueprint; `arguments` and `response` describe it for OpenAPI as well."""

    ARGUMENTS_PARSER = BodyParser()

    def arguments(self, schema: type[Schema] | Schema, **options: Any) -> Any:
        """As flask-smorest's, with the schema made once and not again for each request."""
        return super().arguments(schema() if isinstance(schema, type) else schema, **options)


class Body(Schema):
    """Base of what clients send: a field that is not known is refused, and the known are named."""

    class Meta:
        unknown = RAISE

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        known = sorted(field.data_key or name for name, field in self.fields.items())
        self.error_messages = {
            **self.error_messages,
            "unknown": f"Additional properties are not allowed; known are {', '.join(known)}.",
            "type": "It must be an object.",
        }


class Document(Schema):
    """Base of what is answered: it documents; plain functions build the answer, being quicker."""

    class Meta:
        unknown = INCLUDE

    def dump(self, obj: Any, **_options: Any) -> Any:
        return obj


class FaultText(Document):
    """What a refusal says; with one of kind overLimit perhaps the seconds to wait."""

    code = fields.Integer(metadata={"description": "The HTTP status"})
    message = fields.String()
    retry_after = fields.String(data_key="retryAfter")


Fault = Document.from_dict(
    {kind: fields.Nested(FaultText) for kind in (*FAULT_NAMES.values(), OTHER_FAULT)}, name="Fault"
)
"""A refusal: its kind is the one key."""


def describe(messages: dict[str, Any], given: Any) -> str:
    """One line for a schema's errors: field, value, and what is accepted."""
    return " ".join(_line(path, message, given) for path, message in _flat(messages, ()))


def _flat(messages: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(messages, dict):
        for key, below in messages.items():
            yield from _flat(below, (*path, str(key)))
    elif isinstance(messages, list):
        for message in messages:
            yield from _flat(message, path)
    else:
        yield path, str(messages)


def _line(path: tuple[str, ...], message: str, given: Any) -> str:
    # 'json' is the place in the request, '_schema' the object itself, 'key' and 'value' a mapping's
    names = [name for name in path if name not in ("json", "_schema")]
    where = ".".join(name for name in names if name not in ("key", "value")) or "body"
    if message == "Missing data for required field.":
        return f"'{shown(where)}' is a required property."
    value = _at(given, path)
    if value is missing:
        return f"Invalid input for field/attribute {shown(where)}. {message}"
    return f"Invalid input for field/attribute {shown(where)}. Value: {shown(value)}. {message}"


def _at(given: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        if isinstance(given, dict) and name in given:
            given = given[name]
        elif name not in ("_schema", "key", "value"):
            return missing
    return given


def shown(value: Any) -> str:
    """A value as an error shows it: short, and without characters that a terminal would obey."""
    text = value if isinstance(value, str) and value.isprintable() else repr(value)
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"
