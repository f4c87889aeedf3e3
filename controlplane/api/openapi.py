"""The OpenAPI document: every address, what it takes, what it gives, and how it may fail."""

from collections.abc import Mapping

from litestar import Response, Router, get

from controlplane.api.openapi_access import access_paths
from controlplane.api.openapi_compat import compat_paths, with_older_tenants
from controlplane.api.openapi_history import audit_paths, history_paths
from controlplane.api.openapi_keys import key_paths
from controlplane.api.openapi_parts import (
    CHANGE,
    DELETE,
    ETAG,
    LIST,
    READ,
    WRITE,
    body,
    if_match,
    open_to_all,
    operation,
    parameter,
    with_errors,
)
from controlplane.api.openapi_plans import ADOPT, ADOPTED, DIGEST, KNOWN, METRICS, OPTIONS, PASSES
from controlplane.api.openapi_schemas import Part, all_of, page_of, ref, schemas, view_name
from controlplane.api.queries import LARGEST_PAGE, filters_of
from controlplane.api.resources import PREFIX
from controlplane.api.views import reply
from controlplane.store.records import Kind

EXAMPLES: Mapping[Kind, Part] = {
    Kind.PROVIDER: {"name": "openai-main", "type": "openai", "api_key": "$env://OPENAI_API_KEY"},
    Kind.TIER: {"name": "pro", "limits": [{"tokens": 5000000, "per": "1h"}]},
    Kind.TENANT: {"name": "acme", "subdomain": "acme"},
    Kind.QUEUE: {
        "name": "support",
        "members": [{"name": "main", "provider": "openai-main", "model": "gpt-4o-mini"}],
        "limits": [{"tokens": 500000, "per": "1h"}, {"concurrency": 32}],
    },
    Kind.RULE: {
        "name": "weather",
        "path": "/weather",
        "target": "https://weather.example/v2",
        "strip_path": True,
        "methods": ["GET"],
        "limits": [{"requests": 600, "per": "1m", "by": "key"}, {"concurrency": 32}],
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

_TAGS = ("apply", "revision", "audit", "account", "session", "service")

_LOCATION: Part = {"Location": {"description": "where the object is", "schema": {"type": "string"}}}


def openapi_document() -> Part:
    """The whole document."""
    paths: Part = {}
    for kind in Kind:
        paths |= _resource_paths(kind)
    paths = with_older_tenants(paths)
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
        "tags": [
            {"name": tag} for tag in (*Kind, "apply", "revision", "audit", "account", "session", "service")
        ],
        "paths": paths
        | _state_paths()
        | key_paths()
        | compat_paths()
        | _document_paths()
        | history_paths()
        | audit_paths()
        | access_paths()
        | _service_paths(),
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": schemas(),
        },
    }


def _resource_paths(kind: Kind) -> Part:
    view = ref(view_name(kind))
    declared = body(ref(kind.model.__name__), EXAMPLES[kind])
    patch = body({"type": "object"}, _PATCH_EXAMPLE, *_PATCH_TYPES)
    conditional = [if_match()]
    secrets = [parameter("show_secrets", "query", {"type": "boolean"}, "secrets in plain text; audited")]
    filters = [_filter(name) for name in filters_of(kind)]
    read = secrets if kind is Kind.GATEWAY else []
    return {
        f"{PREFIX}/{kind.plural}": {
            "get": operation(f"list {kind.plural}", kind, page_of(view), LIST, parameters=filters),
            "post": operation(
                f"declare a {kind}", kind, view, WRITE, 201, body=declared, headers=ETAG | _LOCATION
            ),
        },
        f"{PREFIX}/{kind.plural}/{{ref}}": {
            "parameters": [_ref(kind)],
            "get": operation(f"read a {kind}", kind, view, READ, parameters=read, headers=ETAG),
            "put": operation(
                f"declare a {kind} anew",
                kind,
                view,
                CHANGE,
                body=declared,
                parameters=conditional,
                headers=ETAG,
                description="What is left out goes back to its default; a secret that is `***` or left out "
                "stays as it was.",
            ),
            "patch": operation(
                f"change a {kind}",
                kind,
                view,
                CHANGE,
                body=patch,
                parameters=conditional,
                headers=ETAG,
                description="A merge patch (RFC 7396): null removes, lists are replaced whole.",
            ),
            "delete": operation(
                f"remove a {kind}",
                kind,
                None,
                DELETE,
                204,
                parameters=conditional,
                description="409 lists what still refers to it.",
            ),
        },
    }


def _state_paths() -> Part:
    paths: Part = {
        f"{PREFIX}/gateways/{{ref}}/objects": {
            "parameters": [_ref(Kind.GATEWAY)],
            "get": operation(
                "our objects on a gateway",
                Kind.GATEWAY,
                page_of(ref("HeldObject")),
                READ,
                parameters=[_filter("limit"), _filter("cursor")],
            ),
        },
    }
    for kind in (Kind.QUEUE, Kind.RULE):
        summary = f"where each limit of a {kind} is held"
        paths[f"{PREFIX}/{kind.plural}/{{ref}}/enforcement"] = {
            "parameters": [_ref(kind)],
            "get": operation(summary, kind, all_of(ref("Enforcement")), READ),
        }
    for kind in (Kind.PROVIDER, Kind.QUEUE, Kind.RULE, Kind.KEY):
        summary = f"objects of a {kind} on every gateway"
        paths[f"{PREFIX}/{kind.plural}/{{ref}}/objects"] = {
            "parameters": [_ref(kind)],
            "get": operation(summary, kind, all_of(ref("ObjectStatus")), READ),
        }
    return paths


def _document_paths() -> Part:
    flag = {"type": "boolean"}
    options = [parameter(name, "query", flag, about) for name, about in OPTIONS.items()]
    stamp = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
    telling = {"type": "string", "enum": ["true", "false", "brief"], "default": "false"}
    agreed = [
        parameter("dry_run", "query", flag, "say what would change, change nothing"),
        parameter("fingerprint", "query", stamp, "carry out the plan of this fingerprint, or nothing"),
        parameter("plan", "query", telling, "tell the plan that was carried out, whole or in brief"),
    ]
    about = "a name for the document, by which POST /plan/known finds it while it changes nothing"
    digest = parameter("Sluice-Digest", "header", DIGEST, about)
    example = {
        "version": 1,
        "source": "platform",
        "providers": [EXAMPLES[Kind.PROVIDER]],
        "queues": [EXAMPLES[Kind.QUEUE]],
    }
    document = body(ref("Document"), example)
    return {
        f"{PREFIX}/apply": {
            "post": operation(
                "make a document so",
                "apply",
                ref("Applied"),
                (*WRITE, 412),
                body=document,
                parameters=agreed + options,
                description="Creates and updates what differs, in one revision; deletes only with `prune`.",
            )
        },
        f"{PREFIX}/plan": {
            "post": operation(
                "plan a document", "apply", ref("Plan"), WRITE, body=document, parameters=[*options, digest]
            )
        },
        f"{PREFIX}/plan/known": {
            "post": operation(
                "plan a known document again",
                "apply",
                ref("Plan"),
                (*WRITE, 404),
                body=body(KNOWN, {"digest": "0" * 64}),
                parameters=options,
                description="A document that the same caller has sent to POST /plan under this digest.",
            )
        },
        f"{PREFIX}/drift/heal": {
            "post": operation("undo the drift of every gateway", "apply", {"type": "object"}, LIST)
        },
        f"{PREFIX}/gateways/{{ref}}/adopt": {
            "parameters": [_ref(Kind.GATEWAY)],
            "post": operation(
                "let objects of others be taken over",
                Kind.GATEWAY,
                ADOPTED,
                (*WRITE, 404),
                body=body(ADOPT, {"objects": ["routes/q.support"]}),
            ),
        },
        f"{PREFIX}/passes": {"get": with_errors(PASSES, LIST)},
        f"{PREFIX}/drift": {"get": operation("what differs on the gateways", "apply", ref("Plan"), LIST)},
    }


def _service_paths() -> Part:
    return {
        "/health/live": {"get": open_to_all("live", "the process answers", 200)},
        "/health/ready": {"get": open_to_all("ready", "which part is missing", 200, 503)},
        "/metrics": {"get": with_errors(METRICS, LIST)},
        "/api/openapi.json": {"get": open_to_all("openapi", "this document", 200)},
    }


def _ref(kind: Kind) -> Part:
    return parameter("ref", "path", {"type": "string", "minLength": 1}, f"the {kind}'s name or UUID")


def _filter(name: str) -> Part:
    schema, description = _FILTERS[name]
    return parameter(name, "query", schema, description)


@get("/api/openapi.json", name="openapi")
async def openapi() -> Response[bytes]:
    """The document."""
    return reply(openapi_document())


def openapi_router() -> Router:
    return Router(path="/", route_handlers=[openapi])
