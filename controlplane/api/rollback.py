"""Back to an earlier revision: an ordinary plan, through the same checks, carried out as a new revision."""

from litestar import Response, Router, get, post
from litestar.params import FromPath

from controlplane.api.access import author_of, needs
from controlplane.api.bodies import AnyRequest
from controlplane.api.history import revision_number
from controlplane.api.plan_views import plan_view
from controlplane.api.planned_documents import same, unopposed
from controlplane.api.planning import planner_of
from controlplane.api.plans import applied_reply
from controlplane.api.queries import flag, only
from controlplane.api.resources import PREFIX
from controlplane.api.service import service_of
from controlplane.api.views import Shown, reply
from controlplane.core.access import Permission
from controlplane.errors import PreconditionFailed
from controlplane.reconciler.planned import Planned, PlanOptions

_FLAGS = ("allow_mass_delete", "refresh")
_ATTEMPTS = 5


@get("/revisions/{revision:str}/rollback", name="plan_rollback")
async def plan_rollback(request: AnyRequest, revision: FromPath[str]) -> Response[bytes]:
    """What it would take to make everything as it was at a revision; nothing is written."""
    options = _options(only(request, _FLAGS))
    _, view = await _planned(request, revision_number(revision, "revision"), options)
    return reply(view)


@post("/revisions/{revision:str}/rollback", name="rollback", status_code=200)
async def rollback(request: AnyRequest, revision: FromPath[str]) -> Response[bytes]:
    """Make everything but gateways as it was at a revision; with `fingerprint` exactly by that plan."""
    values = only(request, ("fingerprint", *_FLAGS))
    number = revision_number(revision, "revision")
    made, view = await _planned(request, number, _options(values))
    same(view, values.get("fingerprint"))
    unopposed(made.refusals)
    service = service_of(request)
    author = author_of(request, source="rollback", message=f"rollback to revision {number}")
    applied = await service.store.roll_back(number, author, base=made.revision)
    service.wake()
    return applied_reply(applied)


async def _planned(request: AnyRequest, number: int, options: PlanOptions) -> tuple[Planned, Shown]:
    planner = planner_of(request)
    for attempt in range(_ATTEMPTS):
        earlier = await service_of(request).store.earlier(number)
        try:
            made = await planner.go_back(earlier, options)
        except PreconditionFailed:
            # Somebody wrote between the two looks.
            if attempt + 1 == _ATTEMPTS:
                raise
        else:
            return made, plan_view(made, None)
    raise AssertionError("the last attempt either returns or raises")


def _options(values: dict[str, str]) -> PlanOptions:
    return PlanOptions(**{name: flag(values.get(name, "false"), name) for name in _FLAGS})


def rollback_router() -> Router:
    return Router(
        path=PREFIX,
        route_handlers=[plan_rollback, rollback],
        # It reaches over all tenants, so it needs whom all of them are trusted to.
        opt=dict(needs(Permission.TENANTS)),
    )
