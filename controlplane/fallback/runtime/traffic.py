"""Takes a request through its route's phases to an answer."""

import contextlib

from controlplane.clock import Clock
from controlplane.fallback import cjson
from controlplane.fallback.forwarding.forwarder import Forwarder
from controlplane.fallback.http.exchange import Exchange
from controlplane.fallback.http.pages import error_page
from controlplane.fallback.routing.router import Router
from controlplane.fallback.runtime.address import InvalidAddress, host_name, parse
from controlplane.fallback.runtime.context import BodyUnavailable, Context, Passed, Reply, Streamed
from controlplane.fallback.runtime.delivery import StreamDelivery
from controlplane.fallback.runtime.ending import Ending
from controlplane.fallback.runtime.plan import Phases, Plan, run_steps
from controlplane.fallback.runtime.plans import MissingObject, Plans

SERVER = "Sluice"
_TEXTS = frozenset(
    [
        *("text/html", "text/xml", "text/plain", "text/vnd.wap.wml"),
        *("application/javascript", "application/rss+xml"),
    ]
)
"""Kinds of texts whose encoding is said to clients, where whoever made them has not."""
NOT_FOUND = {"error_msg": "404 Route Not Found"}


class Traffic:
    """The handler of the traffic port."""

    def __init__(
        self, router: Router, plans: Plans, forwarder: Forwarder, clock: Clock, *, body_limit: int
    ) -> None:
        self._router = router
        self._plans = plans
        self._forwarder = forwarder
        self._clock = clock
        self._body_limit = body_limit

    async def handle(self, exchange: Exchange) -> None:
        """Answer one request."""
        host = exchange.headers.get("host") or ""
        try:
            address = parse(exchange.target)
        except InvalidAddress:
            page = error_page(400) or b""
            exchange.respond(400, [("Content-Type", "text/html; charset=utf-8")], page)
            return
        context = Context(exchange, address, host_name(host), self._clock)
        _set_forwarded(context, host)
        ending = Ending(context)
        try:
            reply = await self._run(context, ending)
            if isinstance(reply, Streamed):
                self._stream(context, reply, ending)
            else:
                self._respond(context, reply, ending)
        except BaseException:
            ending.run()
            raise

    async def _run(self, context: Context, ending: Ending) -> Reply:
        """The phases up to an answer."""
        context.keep_body(self._body_limit)
        if context.body is None and self._plans.read_bodies:
            # Whoever needs a body that is too large says so; who does not need it can still answer.
            with contextlib.suppress(BodyUnavailable):
                await context.read_body(self._body_limit)
        key = self._router.find(context)
        try:
            plan = self._plans.plan(key) if key is not None else None
        except MissingObject as missing:
            return missing.reply
        around = self._plans.global_phases(plan)
        ending.phases.append(around)
        context.plan = plan
        reply = await run_steps(around.rewrite, context) if around.rewrite else None
        if reply is None and plan is None:
            reply = await run_steps(around.access, context) or Reply(404, NOT_FOUND)
        if reply is not None or plan is None:
            return reply or Reply(404, NOT_FOUND)
        return await self._run_plan(context, plan, around, ending)

    async def _run_plan(self, context: Context, plan: Plan, around: Phases, ending: Ending) -> Reply:
        ending.phases.append(plan.phases)
        reply = await run_steps(plan.phases.rewrite, context)
        if reply is not None:
            return reply
        if context.consumer is not None:
            try:
                merged = self._plans.plan_for(plan, context.consumer)
            except MissingObject as missing:
                return missing.reply
            if merged is not plan:
                plan = context.plan = merged
                ending.phases[-1] = plan.phases
                reply = await run_steps(plan.consumer_rewrite, context)
                if reply is not None:
                    return reply
        for steps in (around.access, plan.phases.access, around.before_proxy, plan.phases.before_proxy):
            reply = await run_steps(steps, context) if steps else None
            if reply is not None:
                return reply
        if isinstance(plan.upstream, Reply):
            return plan.upstream
        return await self._forwarder.run(context, plan.upstream)

    # The answer.

    def _head(self, context: Context, reply: Reply, ending: Ending) -> None:
        """Decide status and headers, and let the plugins change them."""
        context.status = reply.status
        context.from_upstream = isinstance(reply, Passed | Streamed)
        statuses = context.upstream_statuses
        if statuses and statuses[-1][:1] == "5":
            context.response_headers.set("X-APISIX-Upstream-Status", ", ".join(statuses))
        for one in ending.phases:
            for step in one.header_filter:
                step(context)

    def _stream(self, context: Context, reply: Streamed, ending: Ending) -> None:
        self._head(context, reply, ending)
        filters = tuple(step for one in ending.phases for step in one.body_filter)
        if filters:
            context.response_headers.set("Content-Length", None)
        StreamDelivery(context, reply.relay, _sent(context), filters, ending.run).start()

    def _respond(self, context: Context, reply: Reply, ending: Ending) -> None:
        body, content_type = _body_of(reply)
        headers = context.response_headers
        self._head(context, reply, ending)
        if context.status in (204, 304):
            headers.set("Content-Type", None)
        elif headers.get("content-type") is None and content_type is not None:
            headers.set("Content-Type", content_type)
        for one in ending.phases:
            for step in one.body_filter:
                body = step(context, body, True)
        context.bytes_sent = len(body)
        ending.run()
        if not context.exchange.closed:
            context.exchange.respond(context.status, _sent(context), body)


def _sent(context: Context) -> list[tuple[str, str]]:
    headers = context.response_headers
    kind = headers.first("content-type")
    if kind in _TEXTS and "content-encoding" not in headers:
        headers.put([("content-type", ("Content-Type", f"{kind}; charset=utf-8"))])
    return [("Server", SERVER), *headers.pairs()]


def _body_of(reply: Reply) -> tuple[bytes, str | None]:
    """The bytes of a reply and the content type that they have unless something else says so."""
    match reply.body:
        case None:
            page = error_page(reply.status)
            if page is not None:
                return page, "text/html; charset=utf-8"
            return b"", "text/plain; charset=utf-8" if reply.status == 200 else None
        case dict() as value:
            return cjson.encode(value) + b"\n", "text/plain; charset=utf-8"
        case bytes() as data:
            return data, "text/plain; charset=utf-8"
        case text:
            return text.encode("utf-8", "surrogateescape"), "text/plain; charset=utf-8"


def _set_forwarded(context: Context, host: str) -> None:
    """Say where the request came in; what the client claims about that does not count."""
    headers = context.headers
    port = host.rpartition(":")[2]
    headers.put(
        {
            "x-forwarded-proto": "http",
            "x-forwarded-port": port if port.isdigit() and ":" in host else str(context.exchange.port),
        }
    )
    headers.set("x-forwarded-host", host or context.host)
    headers.set("forwarded", None)
