"""The pieces that the OpenAPI document is put together from."""

from collections.abc import Mapping
from http import HTTPStatus

from controlplane.api.openapi_schemas import Part, ref
from controlplane.api.problems import MEDIA_TYPE

READ = (400, 401, 403, 404, 503)
LIST = (400, 401, 403, 503)
WRITE = (400, 401, 403, 409, 413, 415, 422, 503)
CHANGE = (*WRITE, 404, 412)
DELETE = (400, 401, 403, 404, 409, 412, 503)

ETAG: Part = {"ETag": {"description": "the version, for If-Match", "schema": {"type": "string"}}}
_IF_MATCH = r'^(\*|(W/)?"[!#-~]*"(, *(W/)?"[!#-~]*")*)$'

_ERROR_HEADERS: Mapping[int, Part] = {
    401: {"WWW-Authenticate": {"schema": {"type": "string"}}},
    429: {"Retry-After": {"description": "seconds", "schema": {"type": "string"}}},
    503: {"Retry-After": {"description": "seconds", "schema": {"type": "string"}}},
}


def operation(
    summary: str,
    tag: str,
    schema: Part | None,
    errors: tuple[int, ...],
    status: int = 200,
    *,
    body: Part | None = None,
    parameters: list[Part] | None = None,
    headers: Part | None = None,
    description: str | None = None,
) -> Part:
    success: Part = {"description": HTTPStatus(status).phrase, "headers": headers or {}}
    if schema is not None:
        success["content"] = {"application/json": {"schema": schema}}
    operation: Part = {
        "summary": summary,
        "operationId": summary.replace(" ", "_"),
        "tags": [str(tag)],
        "parameters": parameters or [],
        "responses": {str(status): success} | {str(code): error(code) for code in sorted(errors)},
    }
    if description:
        operation["description"] = description
    return operation | ({"requestBody": body} if body else {})


def with_errors(operation: Part, errors: tuple[int, ...]) -> Part:
    """The operation with the errors that it may end in."""
    responses = operation["responses"] | {str(code): error(code) for code in sorted(errors)}
    return operation | {"responses": responses}


def error(status: int) -> Part:
    return {
        "description": HTTPStatus(status).phrase,
        "headers": _ERROR_HEADERS.get(status, {}),
        "content": {MEDIA_TYPE: {"schema": ref("Problem")}},
    }


def open_to_all(name: str, summary: str, *statuses: int) -> Part:
    """An address that needs no token."""
    content = {"application/json": {"schema": {"type": "object"}}}
    return {
        "summary": summary,
        "operationId": name,
        "tags": ["service"],
        "security": [],
        "responses": {
            str(status): {"description": HTTPStatus(status).phrase, "content": content} for status in statuses
        },
    }


def body(schema: Part, example: Part, *media_types: str) -> Part:
    types = media_types or ("application/json",)
    return {"required": True, "content": {name: {"schema": schema, "example": example} for name in types}}


def parameter(name: str, place: str, schema: Part, description: str) -> Part:
    return {
        "name": name,
        "in": place,
        "required": place == "path",
        "schema": schema,
        "description": description,
    }


def if_match() -> Part:
    """The header by which a write names the version that it depends on."""
    etags = {"type": "string", "pattern": _IF_MATCH, "examples": ['"7"']}
    return parameter("If-Match", "header", etags, "the ETag that was read")
