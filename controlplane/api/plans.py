"""Plans: what a document would change, and the whole of it done at once."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import asdict

import orjson
from litestar import Response, Router, get, post
from litestar.params import FromPath

from controlplane.api.accepting import accepted_document
from controlplane.api.access import author_of, must, needs, principal_of
from controlplane.api.bodies import LARGEST_DOCUMENT, AnyRequest, parse_object, read_body, read_json
from controlplane.api.in_hand import in_hand
from controlplane.api.known import DIGEST_HEADER, Name, known_of, plan_known
from controlplane.api.plan_views import plan_view
from controlplane.api.planned_documents import PlannedDocument, same, unopposed
from controlplane.api.planning import FLAGS, options_of, planner_of
from controlplane.api.queries import flag, only, wrong
from controlplane.api.resources import PREFIX
from controlplane.api.service import service_of
from controlplane.api.uses import AskedToTell
from controlplane.api.views import Shown, reply
from controlplane.core.access import Permission
from controlplane.core.objects import Kind as ObjectKind
from controlplane.core.objects import ObjectKey
from controlplane.core.plan import Action
from controlplane.core.spec import Document
from controlplane.core.verdicts import Verdict
from controlplane.errors import InvalidRequest, Problem
from controlplane.reconciler.planned import Planned, PlanOptions
from controlplane.store.records import Applied, Kind

_APPLY = ("dry_run", "fingerprint", "plan")
_MOST_ADOPTED = 500
_OBJECT = re.compile(
    r"(?:services|plugin_configs|routes|consumers)/[A-Za-z0-9._-]{1,128}|"
    r"consumers/[A-Za-z0-9._-]{1,128}/credentials/[A-Za-z0-9._-]{1,128}"
)


@post("/plan", name="plan", status_code=200, opt=needs(Permission.READ))
async def plan(request: AnyRequest) -> Response[bytes]:
    """What a document would change, here and on every gateway; nothing is written."""
    options = options_of(request)
    body = await read_body(request, largest=LARGEST_DOCUMENT)
    made = await _planned(request, body, options)
    view = made.view()
    in_hand(request).keep(principal_of(request), body, view["fingerprint"], made)
    known_of(request).keep(principal_of(request), made.name, made.plan)
    return reply(view)


@get("/drift", name="drift", opt=needs(Permission.READ))
async def drift(request: AnyRequest) -> Response[bytes]:
    """What differs on the gateways from what is declared; every gateway is read for it."""
    only(request, ())
    reach = principal_of(request).reach
    found = await planner_of(request).standing(PlanOptions(refresh=True), reach)
    return reply(plan_view(found, None))


@post("/drift/heal", name="heal_drift", status_code=200, opt=needs(Permission.GATEWAYS))
async def heal(request: AnyRequest) -> Response[bytes]:
    """Undo the drift of every gateway, whatever its mode, as soon as it is led by a replica that runs."""
    only(request, ())
    await service_of(request).store.heal(None)
    return reply({})


@post("/gateways/{ref:str}/adopt", name="adopt", status_code=200, opt=needs(Permission.GATEWAYS))
async def adopt(request: AnyRequest, ref: FromPath[str]) -> Response[bytes]:
    """Let objects without our label be taken over, now if they are declared, or once they are."""
    only(request, ())
    keys = _keys(await read_json(request))
    await service_of(request).store.adopt(ref, keys, author_of(request))
    return reply({"adopted": sorted(map(str, keys))})


@post("/apply", name="apply", status_code=200, opt=needs(Permission.WRITE))
async def apply(request: AnyRequest) -> Response[bytes]:
    """Make a document so, in one revision: create, update, and with `prune` delete.

    With `fingerprint` exactly the plan of that fingerprint is carried out, or nothing. With `plan` the answer
    has the plan that was carried out, whole or in brief.
    """
    values = only(request, (*_APPLY, *FLAGS))
    dry_run = flag(values.get("dry_run", "false"), "dry_run")
    fingerprint, told = values.get("fingerprint"), _telling(values.get("plan", "false"))
    if told is not None and fingerprint is not None:
        problem = Problem("plan", "is the one of the fingerprint", "leave one of the two out")
        raise InvalidRequest("a plan that is agreed to is not told again", problems=[problem])
    body = await read_body(request, largest=LARGEST_DOCUMENT)
    options = options_of(request, *_APPLY)
    if fingerprint is None and told is None and not options.prune:
        document, _ = await _document(request, body)
        applied = await _apply(request, document, None, dry_run=dry_run)
        service_of(request).wake()
        return applied_reply(applied)
    made = await _agreed(request, body, options, fingerprint)
    # The plan is put into words while the database writes.
    applied, view = await asyncio.gather(
        _apply(request, made.document, made.plan, dry_run=dry_run), _told(made, told)
    )
    if not dry_run:
        known_of(request).keep_applied(principal_of(request), made.name, made.plan, applied)
    service_of(request).wake()
    return applied_reply(applied, view)


async def _agreed(
    request: AnyRequest, body: bytes, options: PlanOptions, fingerprint: str | None
) -> PlannedDocument:
    """The plan that is to be carried out: the one that was shown, while it stands, or one that is made now.

    Raises PreconditionFailed when it is not the one of this fingerprint, or is refused.
    """
    if fingerprint is not None:
        shown = in_hand(request).take(principal_of(request), body, options, fingerprint)
        if shown is not None and await planner_of(request).stands(shown.plan):
            return shown
    made = await _planned(request, body, options)
    if fingerprint is not None:
        same(made.view(), fingerprint)
    unopposed(made.plan.refusals)
    return made


def _telling(text: str) -> Callable[[PlannedDocument], Shown] | None:
    """How the plan that is carried out is told; None where nobody wants it."""
    if text == "brief":
        return PlannedDocument.brief_view
    if text not in ("true", "false"):
        raise wrong("plan", "must be true, false or brief", "correct it")
    return PlannedDocument.view if text == "true" else None


async def _told(made: PlannedDocument, view: Callable[[PlannedDocument], Shown] | None) -> Shown | None:
    return None if view is None else await asyncio.to_thread(view, made)


async def _apply(
    request: AnyRequest, document: Document, planned: Planned | None, *, dry_run: bool
) -> Applied:
    if document.gateways or (planned and planned.wanted.gateways):
        must(request, Permission.GATEWAYS)
    store = service_of(request).store
    author = author_of(request, source=document.source, message="apply")
    if planned is None:
        return await store.apply(document, author, dry_run=dry_run)
    whole = principal_of(request).reach is None
    applied = await store.apply(
        document,
        author,
        dry_run=dry_run,
        deletes=_deletes(planned),
        base=planned.revision,
        numbered=planner_of(request).foresee(planned) if whole else None,
    )
    drifted = _drifted(planned)
    if drifted and not dry_run:
        # Whoever agrees to a plan agrees to undoing what it calls drift.
        await store.heal(drifted)
    return applied


def _deletes(planned: Planned) -> list[tuple[Kind, str]]:
    gone = (change for change in planned.wanted.changes if change.action is Action.DELETE)
    return [(Kind(change.kind), change.name) for change in gone]


def applied_reply(applied: Applied, plan: Shown | None = None) -> Response[bytes]:
    """What was done, with the text of keys that were made just now, and by which plan if somebody asked."""
    done: Shown = {
        "revision": applied.revision,
        "changes": [asdict(change) for change in applied.changes],
        "keys": [{"name": name, "key": key} for name, key in applied.keys.items()],
    }
    return reply(done if plan is None else {**done, "plan": plan})


def _drifted(planned: Planned) -> list[str]:
    return [
        gateway.name
        for gateway in planned.gateways
        if any(step.verdict is not Verdict.YOURS for step in gateway.steps.steps)
    ]


def _keys(values: Shown) -> list[ObjectKey]:
    """The objects that a request names: `routes/q.support`."""
    unknown = [name for name in values if name != "objects"]
    objects = values.get("objects")
    found = [_key(text) for text in objects] if isinstance(objects, list) and not unknown else []
    keys = [key for key in found if key is not None]
    if not keys or len(keys) != len(found) or len(keys) > _MOST_ADOPTED:
        problem = Problem("objects", "must be a list of objects", "write some such as routes/q.support")
        raise InvalidRequest("the objects cannot be read", problems=[problem])
    return keys


def _key(text: object) -> ObjectKey | None:
    if not isinstance(text, str) or not _OBJECT.fullmatch(text):
        return None
    kind, _, object_id = text.partition("/")
    consumer, _, credential = object_id.partition("/credentials/")
    if credential:
        return ObjectKey(ObjectKind.CREDENTIAL, f"{consumer}/{credential}")
    return ObjectKey(ObjectKind(kind), object_id)


async def _document(request: AnyRequest, body: bytes) -> tuple[Document, Shown]:
    values = parse_object(body)
    document = await accepted_document(request, values)
    asked: AskedToTell = request.app.state.asked_to_tell
    asked.judge_all(document.gateways)
    return document, values


async def _planned(request: AnyRequest, body: bytes, options: PlanOptions) -> PlannedDocument:
    document, values = await _document(request, body)
    planner = planner_of(request)
    made = await planner.plan(document, options, principal_of(request).reach)
    # Keyed, since the document holds secrets that a plain digest would let anybody guess at.
    digest = planner.digest(orjson.dumps(values, option=orjson.OPT_SORT_KEYS).decode())
    return PlannedDocument(document, made, Name(request.headers.get(DIGEST_HEADER, ""), digest))


def plans_router() -> Router:
    return Router(path=PREFIX, route_handlers=[plan, plan_known, drift, heal, adopt, apply])
