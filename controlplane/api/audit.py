"""The audit: who did what, and whether all of it is still as it was written."""

import re
from collections.abc import AsyncIterator
from typing import Any

import orjson
from litestar import Response, Router, get
from litestar.response import Stream

from controlplane.api.access import needs
from controlplane.api.bodies import AnyRequest
from controlplane.api.queries import LARGEST_PAGE, moment, number, only, wrong
from controlplane.api.resources import PREFIX
from controlplane.api.service import service_of
from controlplane.api.views import record_view, reply
from controlplane.core.access import Permission
from controlplane.core.audit import AuditRow
from controlplane.core.sounding import without_what_sounds_secret
from controlplane.store.audit import Audit, AuditQuery

_LARGEST = 2**62
_FILTERS = ("author", "action", "object", "request_id", "revision", "since", "until")
_HEAD = re.compile(r"([0-9]{1,18}):([0-9a-f]{8}:[0-9a-f]{64})")


@get("/audit", name="read_audit", opt=needs(Permission.AUDIT))
async def read_audit(request: AnyRequest) -> Response[bytes]:
    """Who did what, the newest first; `cursor` goes on where the last page ended."""
    values = only(request, ("limit", "cursor", *_FILTERS))
    query = _query(values)
    found = await service_of(request).store.audit.page(query)
    cursor = str(found[-1].id) if len(found) == query.limit else None
    return reply({"items": [_shown(row) for row in found], "next_cursor": cursor})


@get("/audit/export", name="export_audit", opt=needs(Permission.AUDIT))
async def export_audit(request: AnyRequest) -> Stream:
    """Every row that is asked for, as JSON lines."""
    query = _query(only(request, _FILTERS))
    lines = _lines(service_of(request).store.audit, query)
    # What cannot be read at all is an answer of its own, before the first line is sent.
    first = await anext(lines, b"")
    return Stream(_with(first, lines), media_type="application/x-ndjson")


@get("/audit/check", name="check_audit", opt=needs(Permission.VERIFY))
async def check_audit(request: AnyRequest) -> Response[bytes]:
    """Whether any row was changed, taken out or put in; `head` is the end of an earlier check."""
    values = only(request, ("head",))
    known = None
    if "head" in values:
        parts = _HEAD.fullmatch(values["head"])
        if parts is None:
            raise wrong("head", "is none that a check has given", "take it as it was printed")
        known = (int(parts[1]), parts[2])
    return reply(record_view(await service_of(request).store.audit.check(known)))


def _shown(row: AuditRow) -> dict[str, Any]:  # Any: JSON
    view = record_view(row)
    return view | {side: without_what_sounds_secret(view[side]) for side in ("before", "after")}


async def _lines(audit: Audit, query: AuditQuery) -> AsyncIterator[bytes]:
    async for page in audit.all(query):
        yield b"".join(orjson.dumps(_shown(row)) + b"\n" for row in page)


async def _with(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for chunk in rest:
        yield chunk


def _query(values: dict[str, str]) -> AuditQuery:
    return AuditQuery(
        limit=number(values.get("limit", "50"), "limit", largest=LARGEST_PAGE),
        before=number(values["cursor"], "cursor", largest=_LARGEST) if "cursor" in values else None,
        author=values.get("author"),
        action=values.get("action"),
        about=_about(values["object"]) if "object" in values else None,
        request_id=values.get("request_id"),
        revision=number(values["revision"], "revision", largest=_LARGEST) if "revision" in values else None,
        since=moment(values["since"], "since") if "since" in values else None,
        until=moment(values["until"], "until") if "until" in values else None,
    )


def _about(text: str) -> tuple[str, str]:
    kind, slash, name = text.partition("/")
    if not slash:
        raise wrong("object", "must be a kind and a name", "write it such as queue/support")
    return kind, name


def audit_router() -> Router:
    return Router(path=PREFIX, route_handlers=[read_audit, export_audit, check_audit])
