"""Sends a request on to a node of its upstream, and the next one where that is safe."""

from urllib.parse import quote

from controlplane.fallback.forwarding.upstreams import Node, Upstream
from controlplane.fallback.health.watching import Health
from controlplane.fallback.http.answers import Answer, UpstreamFailed
from controlplane.fallback.http.headers import Value
from controlplane.fallback.llm.passthrough import NoMeter
from controlplane.fallback.llm.relay import Bounds, Relay
from controlplane.fallback.runtime.balancing import Priorities, Server, Turn, priorities
from controlplane.fallback.runtime.context import BodyUnavailable, Context, Reply, Streamed
from controlplane.fallback.runtime.hash_keys import hash_key
from controlplane.fallback.runtime.plugin import Services

# What belongs to one connection, or is said anew for the next one.
_HOP = frozenset(
    [
        "host",
        "content-length",
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "expect",
        "http2-settings",
    ]
)
_NOT_PASSED_BACK = frozenset(
    ["connection", "keep-alive", "transfer-encoding", "trailer", "upgrade", "server"]
)
_SAFE_TO_REPEAT = frozenset(["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"])


class Forwarder:
    """Makes the calls of routes whose upstream is a list of nodes."""

    def __init__(self, services: Services, body_limit: int) -> None:
        self._services = services
        self._body_limit = body_limit

    async def run(self, context: Context, upstream: Upstream) -> Reply:
        """The answer of a node, still arriving, or an error of our own."""
        try:
            body = await context.read_body(self._body_limit)
        except BodyUnavailable:
            return Reply(413)
        turn = Turn(hash_key(upstream.hash_on, upstream.key, context) if upstream.hashed else "")
        balancer = self._balancer(upstream)
        started = context.clock.monotonic()
        failure = Reply(502)
        for attempt in range(upstream.retries + 1):
            name = balancer.next(turn)
            if name is None:
                return failure
            node = upstream.nodes[name]
            if len(upstream.nodes) > 1:  # a node that stands alone is asked again
                turn.tried.add(name)
            asked = context.clock.monotonic()
            try:
                answer = await self._ask(context, upstream, node, body)
            except UpstreamFailed as error:
                failure = self._failed(context, upstream, node, error)
                late = context.clock.monotonic() - started
                if upstream.retry_for_s is not None and late > upstream.retry_for_s and attempt > 0:
                    return Reply(502)
                if error.sent and context.method not in _SAFE_TO_REPEAT:
                    return failure
            else:
                spent = context.clock.monotonic() - asked
                context.values["upstream_response_time"] = round(spent, 3)
                return await self._answered(context, upstream, node, answer)
        return failure

    async def _ask(self, context: Context, upstream: Upstream, node: Node, body: bytes) -> Answer:
        host = _host(context, upstream, node)
        target = context.values.get("upstream_target") or _target(context)
        context.upstream_uri = target.partition("?")[0]
        context.values["upstream_scheme"] = upstream.scheme
        request = _request(context, target, host, body)
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        origin = upstream.origin(node, name)
        return await self._services.pool.send(origin, request, upstream.patience, ("",))

    def _failed(self, context: Context, upstream: Upstream, node: Node, error: UpstreamFailed) -> Reply:
        status = 504 if error.timed_out else 502
        _record(context, node, status)
        health = self._health(upstream, node)
        if health is not None and upstream.health is not None and upstream.health.passive is not None:
            health.failed(upstream.health.passive, timed_out=error.timed_out)
        return Reply(status)

    async def _answered(self, context: Context, upstream: Upstream, node: Node, answer: Answer) -> Reply:
        _record(context, node, answer.status)
        health = self._health(upstream, node)
        if health is not None and upstream.health is not None and upstream.health.passive is not None:
            health.answered(answer.status, upstream.health.passive)
        dropped = _NOT_PASSED_BACK | _named_by_connection(answer.headers.get("connection"))
        for name, value in answer.headers.pairs():
            if name not in dropped:
                context.response_headers.add(_capitalized(name), value)
        relay = Relay(answer, NoMeter(), None, Bounds(), context.clock.monotonic)
        try:
            await relay.first()
        except UpstreamFailed as error:
            return Reply(504 if error.timed_out else 502)
        return Streamed(answer.status, relay=relay)

    # Choosing.

    def _balancer(self, upstream: Upstream) -> Priorities:
        """Among the healthy nodes, or among all where none is."""
        nodes = list(upstream.nodes.values())
        if upstream.health is not None:
            healthy = [node for node in nodes if self._is_healthy(upstream, node)]
            nodes = healthy or nodes
        key = ("upstream", upstream.owner, tuple(nodes))
        return self._services.memory.get(
            key,
            lambda: priorities(
                [Server(node.name, node.weight, node.priority) for node in nodes],
                hashed=upstream.hashed,
                chance=self._services.random,
            ),
        )

    def _is_healthy(self, upstream: Upstream, node: Node) -> bool:
        health = self._health(upstream, node)
        return health is None or health.healthy

    def _health(self, upstream: Upstream, node: Node) -> Health | None:
        rules, owner = upstream.health, upstream.owner
        if rules is None:
            return None
        origin = upstream.origin(node, node.host)
        return self._services.health.of(
            (owner, node.name), owner.resource_key, origin, rules, lambda: self._services.is_current(owner)
        )


def _record(context: Context, node: Node, status: int) -> None:
    context.upstream_statuses.append(str(status))
    context.upstream_addresses.append(node.name)
    context.values["balancer_ip"] = node.host


def _host(context: Context, upstream: Upstream, node: Node) -> str:
    """The Host that the node sees: a plugin's word goes before the upstream's."""
    chosen: str | None = context.values.get("upstream_host")
    if chosen is not None:
        return chosen
    if upstream.host_policy == "node":
        return upstream.host_of(node)
    if upstream.host_policy == "rewrite" and upstream.host:
        return upstream.host
    return context.headers.get("host") or context.host


def _target(context: Context) -> str:
    """The address as the client wrote it, for a node may tell spellings apart that we take for the same."""
    path = context.address.raw.partition("?")[0].partition("#")[0]
    if not path.startswith("/"):
        path = quote(context.address.path, safe="/%:@!$&'()*+,;=~-._", errors="surrogateescape")
    return f"{path}?{context.query}" if context.query else path


def _request(context: Context, target: str, host: str, body: bytes) -> bytes:
    client = context.client_ip
    before = context.headers.variable("x_forwarded_for", "x-forwarded-for")
    headers: dict[str, Value] = dict(context.headers.items())
    dropped = _HOP | _named_by_connection(context.headers.get("connection"))
    headers["x-real-ip"] = client
    headers["x-forwarded-for"] = f"{before}, {client}" if before else client
    lines = [f"{context.method} {target} HTTP/1.1\r\nhost: {host}\r\n"]
    for name, value in headers.items():
        if name in dropped:
            continue
        values = value if isinstance(value, list) else [value]
        lines.extend(f"{name}: {one}\r\n" for one in values)
    if body or context.method in ("POST", "PUT", "PATCH"):
        lines.append(f"content-length: {len(body)}\r\n")
    lines.append("\r\n")
    return "".join(lines).encode("latin-1", "replace") + body


def _named_by_connection(value: str | None) -> frozenset[str]:
    """The headers that a Connection header declares to be its own."""
    return frozenset(name.strip().lower() for name in value.split(",")) if value else frozenset()


def _capitalized(name: str) -> str:
    return "-".join(part.capitalize() for part in name.split("-"))
