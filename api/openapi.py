"""The API's description in OpenAPI 3.1, made of the schemas that validate, and a page of it."""

from functools import cached_property
from typing import Any

import flask_smorest
from flask import Flask, Response, jsonify, render_template_string

from api import auth
from api.blueprint import Fault
from api.docs_page import PAGE

METHODS = ("get", "post", "put", "delete")

REFUSALS = {
    400: "The request is wrong, or what the resource is forbids it",
    401: "Nobody known asks",
    403: "The policy does not allow it",
    404: "It is not there, or another project's, or of a later version",
    406: "The version is outside the range",
    409: "Something else has it, or has been quicker",
    413: "Over quota, over the rate limit, or a body that is too large",
    415: "The body is not JSON",
    503: "Nothing was done, and nothing will be: try again",
}
"""What any operation of the API may be refused with; what else one is, its view says."""

PREFIX = "/v3/"


class Api(flask_smorest.Api):
    """flask-smorest's document with the refusals, without its error handler: faults are ours."""

    ERROR_SCHEMA = Fault
    DEFAULT_ERROR_RESPONSE_NAME = None

    def _register_error_handlers(self) -> None:
        pass

    @cached_property
    def document(self) -> dict[str, Any]:
        """The whole document; every resource must be registered by now."""
        document: dict[str, Any] = self.spec.to_dict()
        shared = document["components"]["responses"]
        for status, description in REFUSALS.items():
            shared[_name(status)] = {
                "description": description,
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Fault"}}},
            }
        for path, operations in document["paths"].items():
            for method in METHODS if path.startswith(PREFIX) else ():
                if method in operations:
                    _add_refusals(operations[method]["responses"])
        return document


def _add_refusals(responses: dict[str, Any]) -> None:
    for status in REFUSALS:
        responses[str(status)] = {"$ref": f"#/components/responses/{_name(status)}"}


def _name(status: int) -> str:
    return f"Refused{status}"


def install(app: Flask, api: Api) -> None:
    """Serve the document of `api` and its page below /docs, to everybody."""

    @auth.public
    def show_document() -> Response:
        return jsonify(api.document)

    @auth.public
    def show_page() -> str:
        document = api.document
        resources = {tag["name"]: tag.get("description", "") for tag in document["tags"]}
        operations: dict[str, list[tuple[str, str, dict[str, Any]]]] = {}
        for path, below in document["paths"].items():
            for method in METHODS:
                if method in below:
                    found = below[method] | {"shared": below.get("parameters", [])}
                    operations.setdefault(found["tags"][0], []).append((method, path, found))
        return render_template_string(
            PAGE,
            title=document["info"]["title"],
            version=document["info"]["version"],
            resources=resources,
            operations=operations,
            components=document["components"],
        )

    app.add_url_rule("/docs", "docs", show_page)
    app.add_url_rule("/docs/openapi.json", "openapi", show_document)
