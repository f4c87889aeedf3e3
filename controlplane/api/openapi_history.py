"""Revisions and the audit in the OpenAPI document."""

from collections.abc import Mapping

from controlplane.api.openapi_parts import LIST, READ, operation, parameter
from controlplane.api.openapi_schemas import Part, page_of, ref
from controlplane.api.queries import LARGEST_PAGE

_NUMBER: Part = {"type": "integer", "minimum": 1}
_TEXT: Part = {"type": "string"}
_FILTERS: Mapping[str, tuple[Part, str]] = {
    "limit": (
        {"type": "integer", "minimum": 1, "maximum": LARGEST_PAGE, "default": 50},
        "how many at most",
    ),
    "cursor": (_TEXT, "`next_cursor` of the page before"),
    "source": (_TEXT, "only what this source wrote"),
    "author": (_TEXT, "only what this author wrote"),
    "object": (_TEXT, "only what changed this object: `queue/support`, also under its earlier names"),
}
_FINGERPRINT = parameter("fingerprint", "query", _TEXT, "carry out the plan of this fingerprint, or nothing")
_ROLLBACK = [
    parameter("allow_mass_delete", "query", {"type": "boolean"}, "agree to many removals"),
    parameter("refresh", "query", {"type": "boolean"}, "read every gateway for the plan"),
]


def history_paths() -> Part:
    """Every write that was made."""
    revision = parameter("revision", "path", _NUMBER, "its number")
    filters = [parameter(name, "query", *about) for name, about in _FILTERS.items()]
    to = parameter("to", "query", _NUMBER, "the other revision; the newest where it is left out")
    revisions = "/api/v1/revisions"
    source = parameter("source", "query", _TEXT, "only what this source declares")
    return {
        "/api/v1/export": {
            "get": operation(
                "export documents",
                "apply",
                ref("Export"),
                LIST,
                parameters=[source],
                description="A document for each source, which changes nothing when it is applied; `***` "
                "stands for a secret that is stored.",
            )
        },
        revisions: {
            "get": operation("list revisions", "revision", page_of(ref("Revision")), LIST, parameters=filters)
        },
        f"{revisions}/{{revision}}": {
            "parameters": [revision],
            "get": operation("read a revision", "revision", ref("RevisionWithChanges"), READ),
        },
        f"{revisions}/{{revision}}/diff": {
            "parameters": [revision],
            "get": operation("compare revisions", "revision", ref("Comparison"), READ, parameters=[to]),
        },
        f"{revisions}/{{revision}}/rollback": {
            "parameters": [revision],
            "get": operation(
                "plan a rollback",
                "revision",
                ref("Plan"),
                (*READ, 412, 422),
                parameters=_ROLLBACK,
                description="What it would take to make everything but gateways as it was at a revision.",
            ),
            "post": operation(
                "roll back",
                "revision",
                ref("Applied"),
                (*READ, 409, 412, 422),
                parameters=[
                    parameter("fingerprint", "query", _TEXT, "of the plan that is agreed to"),
                    *_ROLLBACK,
                ],
                description="A new revision that makes everything but gateways as it was: what was changed "
                "goes back, what was removed returns with its id and its secrets, and what has come since "
                "goes, unless it is protected.",
            ),
        },
    }


_MOMENT: Part = {"type": "string", "format": "date-time"}
_AUDIT_FILTERS: Mapping[str, tuple[Part, str]] = {
    "author": (_TEXT, "only what this author did"),
    "action": (_TEXT, "only this action: create, update, delete, reveal, sign in, …"),
    "object": (_TEXT, "only what was done to this object: `queue/support`"),
    "request_id": (_TEXT, "only what this request did"),
    "revision": (_NUMBER, "only what this revision did"),
    "since": (_MOMENT, "only from this moment on"),
    "until": (_MOMENT, "only before this moment"),
}


def audit_paths() -> Part:
    """Who did what."""
    filters = [parameter(name, "query", *about) for name, about in _AUDIT_FILTERS.items()]
    page = [parameter(name, "query", *_FILTERS[name]) for name in ("limit", "cursor")]
    head: Part = {"type": "string", "pattern": "^[0-9]{1,18}:[0-9a-f]{8}:[0-9a-f]{64}$"}
    known = parameter("head", "query", head, "`head` of an earlier check, which must still be there")
    export = operation("export the audit", "audit", None, LIST, parameters=filters)
    export["responses"]["200"]["content"] = {"application/x-ndjson": {"schema": _TEXT}}
    export["description"] = "Every row that is asked for, the newest first, as one JSON object a line."
    row = ref("AuditRow")
    return {
        "/api/v1/audit": {
            "get": operation("read the audit", "audit", page_of(row), LIST, parameters=[*page, *filters])
        },
        "/api/v1/audit/export": {"get": export},
        "/api/v1/audit/check": {
            "get": operation("check the audit", "audit", ref("AuditCheck"), LIST, parameters=[known])
        },
    }
