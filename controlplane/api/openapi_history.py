"""Revisions in the OpenAPI document."""

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


def history_paths() -> Part:
    """Every write that was made."""
    revision = parameter("revision", "path", _NUMBER, "its number")
    filters = [parameter(name, "query", *about) for name, about in _FILTERS.items()]
    to = parameter("to", "query", _NUMBER, "the other revision; the newest where it is left out")
    revisions = "/api/v1/revisions"
    return {
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
    }
