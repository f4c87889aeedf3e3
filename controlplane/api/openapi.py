"""The OpenAPI document: made of the declared models, so that it says what is really read and given."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from litestar import Response, Router, get
from pydantic.json_schema import models_json_schema

from controlplane.api.problems import MEDIA_TYPE
from controlplane.api.resources import PREFIX
from controlplane.api.views import reply
from controlplane.core.gateways import GatewaySpec
from controlplane.core.spec import Document, KeySpec, ProviderSpec, QueueSpec, TenantSpec
from controlplane.store.records import Kind

# Any throughout: parts of a JSON document.
Part = dict[str, Any]

_MODELS = (ProviderSpec, TenantSpec, QueueSpec, KeySpec, GatewaySpec, Document)
_REF = "#/components/schemas/{model}"

EXAMPLES: Mapping[Kind, Part] = {
    Kind.PROVIDER: {"name": "openai-main", "type": "openai", "api_key": "$env://OPENAI_API_KEY"},
    Kind.TENANT: {"name": "acme", "subdomain": "acme"},
    Kind.QUEUE: {
        "name": "support",
        "members": [{"name": "main", "provider": "openai-main", "model": "gpt-4o-mini"}],
        "limits": [{"tokens": 500000, "per": "1h"}, {"concurrency": 32}],
    },
    Kind.KEY: {"name": "acme-web", "queues": ["support"]},
    Kind.GATEWAY: {"name": "edge", "admin_url": "http://127.0.0.1:9180", "admin_key": "$env://APISIX_KEY"},
}

_FILTERS: Mapping[str, Part] = {
    "limit": {"type": "integer", "minimum": 1, "maximum": 500, "default": 50},
    "cursor": {"type": "string"},
    "name_prefix": {"type": "string"},
    "source": {"type": "string"},
    "tenant": {"type": "string"},
    "type": {"type": "string"},
    "label": {"type": "string", "description": "`name` or `name=value`"},
}

_READ = (400, 401, 404, 503)
_LIST = (400, 401, 503)
_WRITE = (400, 401, 409, 413, 415, 422, 503)
_CHANGE = (*_WRITE, 404, 412)
_DELETE = (400, 401, 404, 409, 412, 503)


def openapi_document() -> Part:
    """The whole document."""
    _, definitions = models_json_schema([(model, "validation") for model in _MODELS], ref_template=_REF)
    paths: Part = {}
    for kind in Kind:
        paths |= _resource_paths(kind)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Sluice",
            "version": "1",
            "description": "Queues, keys and limits of LLM traffic, kept on every gateway as declared.",
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": paths | _other_paths(),
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {**definitions["$defs"], "Problem": _PROBLEM, **_views()},
        },
    }


_PROBLEM: Part = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "errors"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "what happened, to which object"},
        "remedy": {"type": ["string", "null"], "description": "what to do about it"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "field": {"type": "string", "examples": ["members[0].provider"]},
                    "message": {"type": "string"},
                    "remedy": {"type": ["string", "null"]},
                },
            },
        },
    },
}


def _views() -> Part:
    """Objects as they are read: what was declared, and what the service adds."""
    added = {
        "id": {"type": "string", "format": "uuid"},
        "source": {"type": "string"},
        "version": {"type": "integer", "description": "grows with every write; the ETag"},
        "created_at": {"type": "string", "format": "date-time"},
        "updated_at": {"type": "string", "format": "date-time"},
    }
    views: Part = {}
    for kind in Kind:
        properties: Part = {**added, "name": {"type": "string"}}
        if kind is Kind.GATEWAY:
            properties["status"] = {"type": "object"}
        views[_view_name(kind)] = {
            "type": "object",
            "description": f"a {kind} as it was declared, with secrets masked",
            "required": ["name", *added],
            "properties": properties,
        }
    return views


def _resource_paths(kind: Kind) -> Part:
    spec = {"$ref": _REF.format(model=kind.model.__name__)}
    view = {"$ref": _REF.format(model=_view_name(kind))}
    page = {"type": "object", "properties": {"items": {"type": "array", "items": view}, "next_cursor": {}}}
    body = _body(spec, EXAMPLES[kind])
    conditional = [_parameter("If-Match", "header", {"type": "string"}, "the ETag that was read")]
    secrets = [_parameter("show_secrets", "query", {"type": "boolean"}, "secrets in plain text; audited")]
    ref = _parameter("ref", "path", {"type": "string"}, f"the {kind}'s name or UUID")
    filters = [_parameter(name, "query", schema) for name, schema in _FILTERS.items()]
    collection, one = f"{PREFIX}/{kind.plural}", f"{PREFIX}/{kind.plural}/{{ref}}"
    return {
        collection: {
            "get": _operation(f"list {kind.plural}", kind, 200, page, _LIST, parameters=filters),
            "post": _operation(f"declare a {kind}", kind, 201, view, _WRITE, body=body),
        },
        one: {
            "parameters": [ref],
            "get": _operation(
                f"read a {kind}", kind, 200, view, _READ, parameters=secrets if kind is Kind.GATEWAY else []
            ),
            "put": _operation(
                f"declare a {kind} anew", kind, 200, view, _CHANGE, body=body, parameters=conditional
            ),
            "patch": _operation(
                f"change a {kind}",
                kind,
                200,
                view,
                _CHANGE,
                body=_body({"type": "object"}, {"labels": {"team": "a"}}, "application/merge-patch+json"),
                parameters=conditional,
            ),
            "delete": _operation(f"remove a {kind}", kind, 204, None, _DELETE, parameters=conditional),
        },
    }


def _other_paths() -> Part:
    anything: Part = {"type": "object"}
    ref = _parameter("ref", "path", {"type": "string"})
    revision = _parameter("revision", "path", {"type": "integer", "minimum": 1})
    page = [
        _parameter("limit", "query", _FILTERS["limit"]),
        _parameter("cursor", "query", {"type": "string"}),
    ]
    dry_run = [_parameter("dry_run", "query", {"type": "boolean"}, "say what would change, change nothing")]
    example = {"version": 1, "source": "platform", "providers": [EXAMPLES[Kind.PROVIDER]]}
    document = _body({"$ref": _REF.format(model="Document")}, example)
    paths: Part = {
        f"{PREFIX}/apply": {
            "post": _operation(
                "make a whole document so", "apply", 200, anything, _WRITE, body=document, parameters=dry_run
            )
        },
        f"{PREFIX}/revisions": {
            "get": _operation("list revisions", "revision", 200, anything, _LIST, parameters=page)
        },
        f"{PREFIX}/revisions/{{revision}}": {
            "parameters": [revision],
            "get": _operation("read a revision", "revision", 200, anything, _READ),
        },
        f"{PREFIX}/queues/{{ref}}/enforcement": {
            "parameters": [ref],
            "get": _operation("where each limit is held", Kind.QUEUE, 200, anything, _READ),
        },
        "/health/live": {"get": _open("the process answers", 200)},
        "/health/ready": {"get": _open("which part is missing", 200, 503)},
        "/api/openapi.json": {"get": _open("this document", 200)},
    }
    for kind in (Kind.PROVIDER, Kind.QUEUE, Kind.KEY):
        paths[f"{PREFIX}/{kind.plural}/{{ref}}/objects"] = {
            "parameters": [ref],
            "get": _operation("its objects on every gateway", kind, 200, anything, _READ),
        }
    return paths


def _operation(
    summary: str,
    tag: str,
    status: int,
    schema: Part | None,
    errors: tuple[int, ...],
    *,
    body: Part | None = None,
    parameters: list[Part] | None = None,
) -> Part:
    success: Part = {"description": HTTPStatus(status).phrase}
    if schema is not None:
        success["content"] = {"application/json": {"schema": schema}}
    problem = {"schema": {"$ref": _REF.format(model="Problem")}}
    responses = {str(status): success} | {
        str(code): {"description": HTTPStatus(code).phrase, "content": {MEDIA_TYPE: problem}}
        for code in sorted(errors)
    }
    operation: Part = {
        "summary": summary,
        "operationId": summary.replace(" ", "_").replace("'", "") + f"_{tag}",
        "tags": [str(tag)],
        "responses": responses,
    }
    if parameters:
        operation["parameters"] = parameters
    return operation | ({"requestBody": body} if body else {})


def _open(summary: str, *statuses: int) -> Part:
    content = {"application/json": {"schema": {"type": "object"}}}
    return {
        "summary": summary,
        "security": [],
        "responses": {
            str(status): {"description": HTTPStatus(status).phrase, "content": content} for status in statuses
        },
    }


def _body(schema: Part, example: Part, media_type: str = "application/json") -> Part:
    return {"required": True, "content": {media_type: {"schema": schema, "example": example}}}


def _parameter(name: str, place: str, schema: Part, description: str = "") -> Part:
    found: Part = {"name": name, "in": place, "required": place == "path", "schema": schema}
    return found | ({"description": description} if description else {})


def _view_name(kind: Kind) -> str:
    return f"{kind.title()}View"


@get("/api/openapi.json", name="openapi")
async def openapi() -> Response[bytes]:
    """The document."""
    return reply(openapi_document())


def openapi_router() -> Router:
    return Router(path="/", route_handlers=[openapi])
