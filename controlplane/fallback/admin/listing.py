"""Lists of objects: filters and pages."""

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs

from controlplane.fallback.admin.answers import Answer, Refused, shown
from controlplane.fallback.admin.kinds import Kind
from controlplane.fallback.lua_values import tonumber
from controlplane.fallback.state.objects import StoredObject

Arguments = Mapping[str, str]


def listed(kind: Kind, objects: Sequence[StoredObject], arguments: Arguments) -> Answer:
    """The objects that the arguments ask for. `total` counts all that match, not only those of the page."""
    found = sorted(objects, key=lambda stored: stored.key)
    if any(name in arguments for name in ("name", "label", "uri", "filter")):
        found = [stored for stored in found if _matches(kind, stored, arguments)]
    total = len(found)
    paged = _page(found, arguments)
    shown_objects = found if paged is None else paged
    # An empty page is an empty Lua table, which APISIX writes as an object.
    body = b"{}" if paged == [] else b"[%b]" % b",".join(map(shown, shown_objects))
    return 200, b'{"list":%b,"total":%d}\n' % (body, total)


def _page(found: Sequence[StoredObject], arguments: Arguments) -> list[StoredObject] | None:
    page, size = tonumber(arguments.get("page")), tonumber(arguments.get("page_size"))
    if page is None or size is None:
        return None
    if not 10 <= size <= 500:
        raise Refused(400, "page_size must be between 10 and 500")
    first = int((max(page, 1) - 1) * size)
    ordered = sorted(found, key=lambda stored: stored.created_index)
    return ordered[first : first + int(size)]


def _matches(kind: Kind, stored: StoredObject, arguments: Arguments) -> bool:
    label = arguments.get("label")
    if label is not None and label.encode() not in stored.plain:
        return False
    value = stored.value
    if label is not None and label not in (value.get("labels") or {}):
        return False
    if "name" in arguments and not _found(arguments["name"], [value.get("name")]):
        return False
    uris = [value.get("uri"), *(value.get("uris") or [])]
    if "uri" in arguments and not _found(arguments["uri"], uris):
        return False
    return "filter" not in arguments or _has_fields(kind, value, arguments["filter"])


def _found(pattern: str, texts: Sequence[Any]) -> bool:
    try:
        compiled = re.compile(pattern)
    except re.error:
        return False
    return any(isinstance(text, str) and compiled.search(text) for text in texts)


def _has_fields(kind: Kind, value: Mapping[str, Any], text: str) -> bool:
    wanted = parse_qs(text, keep_blank_values=True)
    return all(value.get(name) == values[-1] for name, values in wanted.items() if name in kind.list_filters)
