"""Requests for tests of parts that look at one and need no gateway around them."""

from typing import Any

import orjson

from controlplane.clock import Clock, ManualClock
from controlplane.fallback.http.exchange import Exchange
from controlplane.fallback.http.headers import Headers
from controlplane.fallback.runtime.address import host_name, parse
from controlplane.fallback.runtime.context import Context


class Nowhere:
    """A connection whose other end nobody reads."""

    saturated = False

    def write(self, data: bytes) -> None: ...

    def want_body(self) -> None: ...

    def answered(self, exchange: Exchange, *, keep_alive: bool) -> None: ...

    def cut(self) -> None: ...


def request(
    target: str = "/",
    *,
    method: str = "POST",
    body: Any = None,
    raw: bytes = b"",
    clock: Clock | None = None,
    **headers: str,
) -> Context:
    """The context of a request; header names are written with underscores, a body makes it JSON."""
    headers = {"host": "gateway.test", **headers}
    pairs = [(name.replace("_", "-"), value) for name, value in headers.items()]
    if body is not None:
        raw = orjson.dumps(body)
        pairs.append(("content-type", "application/json"))
    exchange = Exchange(
        Nowhere(),
        method=method,
        target=target,
        headers=Headers.of(pairs),
        http_version="1.1",
        keep_alive=True,
        peer=("192.0.2.7", 4711),
        port=9080,
    )
    context = Context(
        exchange, parse(target), host_name(exchange.headers.get("host") or ""), clock or ManualClock()
    )
    if raw:
        exchange.body_part(raw)
    exchange.body_end()
    return context


async def with_body(context: Context) -> Context:
    """The same request, its body read."""
    await context.read_body(10_000_000)
    return context
