"""Revisions: every write that was made, what it changed, and what lies between two of them."""

from litestar import Response, Router, get
from litestar.params import FromPath

from controlplane.api.access import needs
from controlplane.api.bodies import AnyRequest
from controlplane.api.queries import LARGEST_PAGE, number, only, wrong
from controlplane.api.resources import PREFIX
from controlplane.api.service import service_of
from controlplane.api.views import record_view, reply
from controlplane.core.access import Permission
from controlplane.store.history import HistoryQuery
from controlplane.store.records import Kind

LARGEST_REVISION = 2**62
HISTORY_FILTERS = ("limit", "cursor", "source", "author", "object")


@get("/revisions", name="list_revisions")
async def list_revisions(request: AnyRequest) -> Response[bytes]:
    """Every write, the newest first; `cursor` goes on where the last page ended."""
    values = only(request, HISTORY_FILTERS)
    limit = number(values.get("limit", "50"), "limit", largest=LARGEST_PAGE)
    query = HistoryQuery(
        limit=limit,
        before=revision_number(values["cursor"], "cursor") if "cursor" in values else None,
        source=values.get("source"),
        author=values.get("author"),
        about=_about(values["object"]) if "object" in values else None,
    )
    found = await service_of(request).store.history.page(query)
    cursor = str(found[-1].id) if len(found) == limit else None
    return reply({"items": [record_view(item) for item in found], "next_cursor": cursor})


@get("/revisions/{revision:str}", name="read_revision")
async def read_revision(request: AnyRequest, revision: FromPath[str]) -> Response[bytes]:
    """One write, with what it changed; secrets are masked."""
    only(request, ())
    history = service_of(request).store.history
    head, changes = await history.show(revision_number(revision, "revision"))
    return reply({**record_view(head), "changes": [record_view(change) for change in changes]})


@get("/revisions/{revision:str}/diff", name="compare_revisions")
async def compare_revisions(request: AnyRequest, revision: FromPath[str]) -> Response[bytes]:
    """What is different in another revision, the newest where none is named; secrets are masked."""
    values = only(request, ("to",))
    older = revision_number(revision, "revision")
    newer = revision_number(values["to"], "to") if "to" in values else None
    newer, changes = await service_of(request).store.history.compare(older, newer)
    return reply({"from": older, "to": newer, "changes": [record_view(change) for change in changes]})


def revision_number(text: str, name: str) -> int:
    """The number of a revision."""
    return number(text, name, largest=LARGEST_REVISION)


def _about(text: str) -> tuple[Kind, str]:
    """The object that `queue/support` names."""
    kind, _, name = text.partition("/")
    if kind not in list(Kind) or not name:
        raise wrong("object", "must be a kind and a name", "write it such as queue/support")
    return Kind(kind), name


def history_router() -> Router:
    return Router(
        path=PREFIX,
        route_handlers=[list_revisions, read_revision, compare_revisions],
        opt=dict(needs(Permission.READ)),
    )
