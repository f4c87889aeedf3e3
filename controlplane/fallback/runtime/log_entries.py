"""What a logger writes about a request: the fields of its format, or everything."""

import socket
from collections.abc import Callable, Mapping
from typing import Any

from controlplane.fallback.runtime.context import Context
from controlplane.fallback.runtime.variables import variable

Entry = dict[str, Any]
Maker = Callable[[Context], Any]

MOST_DEPTH = 5


def entry_maker(log_format: Mapping[str, Any], depth: int = 1) -> Callable[[Context], Entry]:
    """A function from a request to the fields of a format; a field without a value is left out."""
    makers: dict[str, Maker] = {}
    for name, value in log_format.items():
        if isinstance(value, dict):
            makers[name] = entry_maker(value, depth + 1) if depth < MOST_DEPTH else _constant({})
        elif isinstance(value, str) and value.startswith("$"):
            makers[name] = variable(value[1:])
        else:
            makers[name] = _constant(value)

    def make(context: Context) -> Entry:
        fields = {name: maker(context) for name, maker in makers.items()}
        return {name: value for name, value in fields.items() if value is not None}

    return make


def full_entry(context: Context) -> Entry:
    """Everything that is known about a request, without its bodies."""
    plan, consumer = context.plan, context.consumer
    latency = context.elapsed * 1000
    upstream_s = variable("upstream_response_time")(context)
    upstream = upstream_s * 1000 if upstream_s is not None else None
    entry: Entry = {
        "request": {
            "url": f"http://{context.host}:{context.exchange.port}{context.address.full}",
            "uri": context.address.full,
            "method": context.method,
            "headers": dict(context.headers.items()),
            "querystring": dict(context.arguments),
            "size": context.request_bytes,
        },
        "response": {
            "status": context.status,
            "headers": {name.lower(): value for name, value in context.response_headers.items()},
            "size": context.answer_bytes,
        },
        "server": {"hostname": socket.gethostname(), "version": "3.18.0"},
        "client_ip": context.client_ip,
        "start_time": int((context.clock.now() - context.elapsed) * 1000),
        "latency": latency,
        "upstream_latency": upstream,
        "apisix_latency": max(latency - (upstream or 0), 0),
        "service_id": (plan.service_id or "") if plan is not None else context.host,
        "route_id": plan.route_id if plan is not None else None,
        "upstream": variable("upstream_addr")(context),
        "consumer": {"username": consumer.username} if consumer is not None else None,
    }
    return {name: value for name, value in entry.items() if value is not None}


def _constant(value: Any) -> Maker:
    return lambda context: value
