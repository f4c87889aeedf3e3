"""Whole documents."""

from dataclasses import asdict

from litestar import Response, Router, post
from pydantic import ValidationError

from controlplane.api.access import author_of, needs
from controlplane.api.bodies import LARGEST_DOCUMENT, AnyRequest, read_json
from controlplane.api.queries import flag, only
from controlplane.api.resources import PREFIX
from controlplane.api.service import service_of
from controlplane.api.views import reply
from controlplane.core.access import Permission
from controlplane.core.problems import problems_of
from controlplane.core.spec import Document
from controlplane.errors import InvalidSpec


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


def documents_router() -> Router:
    return Router(path=PREFIX, route_handlers=[apply])
