"""Whole documents, and the revisions that writes leave behind."""

from dataclasses import asdict

from litestar import Response, Router, get, post
from litestar.params import FromPath
from pydantic import ValidationError

from controlplane.api.access import author_of, needs
from controlplane.api.bodies import LARGEST_DOCUMENT, AnyRequest, read_json
from controlplane.api.queries import flag, number, only
from controlplane.api.resources import PREFIX
from controlplane.api.service import service_of
from controlplane.api.views import record_view, reply
from controlplane.core.access import Permission
from controlplane.core.problems import problems_of
from controlplane.core.spec import Document
from controlplane.errors import InvalidSpec

_LARGEST_REVISION = 2**62


@post("/apply", name="apply", status_code=200, opt=needs(Permission.WRITE))
async def apply(request: AnyRequest) -> Response[bytes]:
    """Make a document so, in one revision: create and update what differs, delete nothing."""
    dry_run = flag(only(request, ("dry_run",)).get("dry_run", "false"), "dry_run")
    values = await read_json(request, largest=LARGEST_DOCUMENT)
    try:
        document = Document.model_validate(values)
    except ValidationError as error:
        problems = problems_of(error, Document, values)
        raise InvalidSpec("the document cannot be accepted", problems=problems) from None
    service = service_of(request)
    author = author_of(request, source=document.source, message="apply")
    applied = await service.store.apply(document, author, dry_run=dry_run)
    service.wake()
    return reply(
        {
            "revision": applied.revision,
            "changes": [asdict(change) for change in applied.changes],
            "keys": [{"name": name, "key": key} for name, key in applied.keys.items()],
        }
    )


@get("/revisions", name="list_revisions", opt=needs(Permission.READ))
async def list_revisions(request: AnyRequest) -> Response[bytes]:
    """Every write, the newest first; `cursor` goes on where the last page ended."""
    values = only(request, ("limit", "cursor"))
    limit = number(values.get("limit", "50"), "limit", largest=500)
    before = number(values["cursor"], "cursor", largest=_LARGEST_REVISION) if "cursor" in values else None
    found = await service_of(request).store.revisions(before, limit)
    cursor = str(found[-1].id) if len(found) == limit else None
    return reply({"items": [record_view(item) for item in found], "next_cursor": cursor})


@get("/revisions/{revision:str}", name="read_revision", opt=needs(Permission.READ))
async def read_revision(request: AnyRequest, revision: FromPath[str]) -> Response[bytes]:
    """One write, with what it changed; secrets are masked."""
    only(request, ())
    wanted = number(revision, "revision", largest=_LARGEST_REVISION)
    head, changes = await service_of(request).store.revision(wanted)
    return reply({**record_view(head), "changes": [record_view(change) for change in changes]})


def documents_router() -> Router:
    return Router(path=PREFIX, route_handlers=[apply, list_revisions, read_revision])
