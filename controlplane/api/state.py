"""Where things stand: a queue's limits and where they are held, and its objects on every gateway."""

from litestar import Response, Router, get
from litestar.params import FromPath

from controlplane.api.access import needs, principal_of
from controlplane.api.bodies import AnyRequest
from controlplane.api.queries import LARGEST_PAGE, number, only
from controlplane.api.resources import PREFIX
from controlplane.api.service import service_of
from controlplane.api.views import record_view, reply
from controlplane.core.above import Above
from controlplane.core.access import Permission
from controlplane.core.desired import Queue
from controlplane.core.enforcement import place
from controlplane.core.policies import policy_id
from controlplane.core.report import above_report, account_report, enforcement_report, rule_report
from controlplane.core.selection import able
from controlplane.store.records import Kind

_LONGEST_WAIT_MS = 10_000
_WITH_OBJECTS = (Kind.PROVIDER, Kind.QUEUE, Kind.RULE, Kind.KEY)


@get("/queues/{ref:str}/enforcement", name="queue_enforcement")
async def queue_enforcement(request: AnyRequest, ref: FromPath[str]) -> Response[bytes]:
    """For each limit of the queue, and above it, where it is held, how exactly, and what an edit costs."""
    only(request, ())
    store = service_of(request).store
    stored = await store.get(Kind.QUEUE, ref)
    queue = Queue(stored.id, stored.spec, stored.source)
    abilities = able(queue.spec, await store.sites())
    above = Above(await store.around(queue), abilities=abilities)
    placements = place(queue.spec, abilities, counted_above=above.counts(queue))
    whole = principal_of(request).reach is None
    policy = policy_id(queue.spec.name)
    report = enforcement_report(queue, placements, policy)
    accounts = account_report(queue, above.accounts(queue), policy)
    lines = (*report, *accounts, *above_report(queue, above.of_queue(queue), whole=whole))
    return reply({"items": [record_view(line) for line in lines]})


@get("/rules/{ref:str}/enforcement", name="rule_enforcement")
async def rule_enforcement(request: AnyRequest, ref: FromPath[str]) -> Response[bytes]:
    """For each limit of the rule and of its rate limiters, where it is held, and how exactly."""
    only(request, ())
    store = service_of(request).store
    stored = await store.get(Kind.RULE, ref)
    lines = rule_report(await store.forwarding(stored.id))
    return reply({"items": [record_view(line) for line in lines]})


class _Objects:
    def __init__(self, kind: Kind) -> None:
        self._kind = kind

    async def objects(self, request: AnyRequest, ref: FromPath[str]) -> Response[bytes]:
        """The gateway objects that serve it, and how each of them stands."""
        only(request, ())
        store = service_of(request).store
        stored = await store.get(self._kind, ref)
        found = await store.object_status(f"{self._kind} {stored.spec.name}")
        return reply({"items": [record_view(item) for item in found]})


@get("/gateways/{ref:str}/objects", name="gateway_objects")
async def gateway_objects(request: AnyRequest, ref: FromPath[str]) -> Response[bytes]:
    """Every object of ours on a gateway, and how its last write ended."""
    values = only(request, ("limit", "cursor"))
    limit = number(values.get("limit", "50"), "limit", largest=LARGEST_PAGE)
    after = None
    if "cursor" in values:
        kind, _, object_id = values["cursor"].partition("/")
        after = (kind, object_id)
    store = service_of(request).store
    stored = await store.get(Kind.GATEWAY, ref)
    found = await store.held_objects(stored.id, after, limit)
    cursor = f"{found[-1].kind}/{found[-1].id}" if len(found) == limit else None
    return reply({"items": [record_view(item) for item in found], "next_cursor": cursor})


@get("/passes", name="passes")
async def passes(request: AnyRequest) -> Response[bytes]:
    """A mark of the newest pass over a gateway; with another as `after`, once one has ended after that.

    How gateways stand need not be asked for all the time then. Nobody is kept for longer than `within_ms`.
    """
    values = only(request, ("after", "within_ms"))
    within_ms = number(values.get("within_ms", "1000"), "within_ms", largest=_LONGEST_WAIT_MS)
    ended, after = service_of(request).ended, values.get("after")
    return reply({"mark": ended.mark if after is None else await ended.after(after, within_ms / 1000)})


def state_router() -> Router:
    objects = [
        get(f"/{kind.plural}/{{ref:str}}/objects", name=f"{kind}_objects")(_Objects(kind).objects)
        for kind in _WITH_OBJECTS
    ]
    handlers = [queue_enforcement, rule_enforcement, gateway_objects, passes, *objects]
    return Router(path=PREFIX, route_handlers=handlers, opt=dict(needs(Permission.READ)))
