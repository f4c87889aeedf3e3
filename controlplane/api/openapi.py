"""The OpenAPI document: every address, what it takes, what it gives, and how it may fail."""

from collections.abc import Mapping
from http import HTTPStatus

from litestar import Response, Router, get

from controlplane.api.openapi_schemas import Part, all_of, page_of, ref, schemas, view_name
from controlplane.api.problems import MEDIA_TYPE
from controlplane.api.queries import LARGEST_PAGE, filters_of
from controlplane.api.resources import PREFIX
from controlplane.api.views import reply
from controlplane.store.records import Kind

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
_PATCH_EXAMPLE: Part = {"labels": {"team": "a"}}
_PATCH_TYPES = ("application/merge-patch+json", "application/json")

_FILTERS: Mapping[str, tuple[Part, str]] = {
    "limit": (
        {"type": "integer", "minimum": 1, "maximum": LARGEST_PAGE, "default": 50},
        "how many at most",
    ),
    "cursor": ({"type": "string"}, "`next_cursor` of the page before"),
    "name_prefix": ({"type": "string"}, "only those whose name starts so"),
    "source": ({"type": "string"}, "only those that this source declared"),
    "tenant": ({"type": "string"}, "only those of this tenant"),
    "type": ({"type": "string"}, "only providers of this type"),
    "label": ({"type": "string"}, "only those with this label: `name` or `name=value`"),
}

_IF_MATCH = r'^(\*|(W/)?"[!#-~]*"(, *(W/)?"[!#-~]*")*)$'

_READ = (400, 401, 404, 503)
_LIST = (400, 401, 503)
_WRITE = (400, 401, 409, 413, 415, 422, 503)
_CHANGE = (*_WRITE, 404, 412)
_DELETE = (400, 401, 404, 409, 412, 503)

_ETAG: Part = {"ETag": {"description": "the version, for If-Match", "schema": {"type": "string"}}}
_LOCATION: Part = {"Location": {"description": "where the object is", "schema": {"type": "string"}}}
_ERROR_HEADERS: Mapping[int, Part] = {
    401: {"WWW-Authenticate": {"schema": {"type": "string"}}},
    503: {"Retry-After": {"description": "seconds", "schema": {"type": "string"}}},
}


def openapi_document() -> Part:
    """The whole document."""
    paths: Part = {}
    for kind in Kind:
        paths |= _resource_paths(kind)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Sluice",
            "version": "1",
            "description": "Queues, keys and limits of LLM traffic, kept on every gateway as declared.\n\n"
            "An object is addressed by its name or by its UUID. A write may name the version that it "
            "depends on with `If-Match`. Every error is a problem that names the field and the remedy.",
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "tags": [{"name": tag} for tag in (*Kind, "apply", "revision", "service")],
        "paths": paths | _state_paths() | _document_paths() | _service_paths(),
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": schemas(),
        },
    }


def _resource_paths(kind: Kind) -> Part:
    view = ref(view_name(kind))
    body = _body(ref(kind.model.__name__), EXAMPLES[kind])
    patch = _body({"type": "object"}, _PATCH_EXAMPLE, *_PATCH_TYPES)
    etags = {"type": "string", "pattern": _IF_MATCH, "examples": ['"7"']}
    conditional = [_parameter("If-Match", "header", etags, "the ETag that was read")]
    secrets = [_parameter("show_secrets", "query", {"type": "boolean"}, "secrets in plain text; audited")]
    filters = [_filter(name) for name in filters_of(kind)]
    read = secrets if kind is Kind.GATEWAY else []
    return {
        f"{PREFIX}/{kind.plural}": {
            "get": _operation(f"list {kind.plural}", kind, page_of(view), _LIST, parameters=filters),
            "post": _operation(
                f"declare a {kind}", kind, view, _WRITE, 201, body=body, headers=_ETAG | _LOCATION
            ),
        },
        f"{PREFIX}/{kind.plural}/{{ref}}": {
            "parameters": [_ref(kind)],
            "get": _operation(f"read a {kind}", kind, view, _READ, parameters=read, headers=_ETAG),
            "put": _operation(
                f"declare a {kind} anew",
                kind,
                view,
                _CHANGE,
                body=body,
                parameters=conditional,
                headers=_ETAG,
                description="What is left out goes back to its default; a secret that is `***` or left out "
                "stays as it was.",
            ),
            "patch": _operation(
                f"change a {kind}",
                kind,
                view,
                _CHANGE,
                body=patch,
                parameters=conditional,
                headers=_ETAG,
                description="A merge patch (RFC 7396): null removes, lists are replaced whole.",
            ),
            "delete": _operation(
                f"remove a {kind}",
                kind,
                None,
                _DELETE,
                204,
                parameters=conditional,
                description="409 lists what still refers to it.",
            ),
        },
    }


def _state_paths() -> Part:
    paths: Part = {
        f"{PREFIX}/queues/{{ref}}/enforcement": {
            "parameters": [_ref(Kind.QUEUE)],
            "get": _operation(
                "where each limit of a queue is held", Kind.QUEUE, all_of(ref("Enforcement")), _READ
            ),
        }
    }
    for kind in (Kind.PROVIDER, Kind.QUEUE, Kind.KEY):
        summary = f"objects of a {kind} on every gateway"
        paths[f"{PREFIX}/{kind.plural}/{{ref}}/objects"] = {
            "parameters": [_ref(kind)],
            "get": _operation(summary, kind, all_of(ref("ObjectStatus")), _READ),
        }
    return paths


def _document_paths() -> Part:
    revision = _parameter("revision", "path", {"type": "integer", "minimum": 1}, "its number")
    page = [_filter("limit"), _filter("cursor")]
    dry_run = [_parameter("dry_run", "query", {"type": "boolean"}, "say what would change, change nothing")]
    example = {
        "version": 1,
        "source": "platform",
        "providers": [EXAMPLES[Kind.PROVIDER]],
        "queues": [EXAMPLES[Kind.QUEUE]],
    }
    document = _body(ref("Document"), example)
    return {
        f"{PREFIX}/apply": {
            "post": _operation(
                "make a document so",
                "apply",
                ref("Applied"),
                _WRITE,
                body=document,
                parameters=dry_run,
                description="Creates and updates what differs, in one revision; deletes nothing.",
            )
        },
        f"{PREFIX}/revisions": {
            "get": _operation("list revisions", "revision", page_of(ref("Revision")), _LIST, parameters=page)
        },
        f"{PREFIX}/revisions/{{revision}}": {
            "parameters": [revision],
            "get": _operation("read a revision", "revision", ref("RevisionWithChanges"), _READ),
        },
    }


def _service_paths() -> Part:
    return {
        "/health/live": {"get": _open("live", "the process answers", 200)},
        "/health/ready": {"get": _open("ready", "which part is missing", 200, 503)},
        "/api/openapi.json": {"get": _open("openapi", "this document", 200)},
    }


def _operation(
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
        "responses": {str(status): success} | {str(code): _error(code) for code in sorted(errors)},
    }
    if description:
        operation["description"] = description
    return operation | ({"requestBody": body} if body else {})


def _error(status: int) -> Part:
    return {
        "description": HTTPStatus(status).phrase,
        "headers": _ERROR_HEADERS.get(status, {}),
        "content": {MEDIA_TYPE: {"schema": ref("Problem")}},
    }


def _open(name: str, summary: str, *statuses: int) -> Part:
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


def _body(schema: Part, example: Part, *media_types: str) -> Part:
    types = media_types or ("application/json",)
    return {"required": True, "content": {name: {"schema": schema, "example": example} for name in types}}


def _ref(kind: Kind) -> Part:
    return _parameter("ref", "path", {"type": "string", "minLength": 1}, f"the {kind}'s name or UUID")


def _filter(name: str) -> Part:
    schema, description = _FILTERS[name]
    return _parameter(name, "query", schema, description)


def _parameter(name: str, place: str, schema: Part, description: str) -> Part:
    return {
        "name": name,
        "in": place,
        "required": place == "path",
        "schema": schema,
        "description": description,
    }


@get("/api/openapi.json", name="openapi")
async def openapi() -> Response[bytes]:
    """The document."""
    return reply(openapi_document())


def openapi_router() -> Router:
    return Router(path="/", route_handlers=[openapi])
