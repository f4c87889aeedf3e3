"""Whether the service lives, and which part it misses. No token is needed."""

import asyncio

from litestar import Response, Router, get

from controlplane.api.bodies import AnyRequest
from controlplane.api.service import service_of
from controlplane.api.views import reply
from controlplane.errors import StoreUnavailable
from controlplane.store.records import Kind, Query

_WELL = ("converged", "drifted", "pending")
_PATIENCE_S = 3.0
"""A probe that hangs says nothing; one that fails says what is missing."""


@get("/live", name="live")
async def live() -> Response[bytes]:
    """The process answers."""
    return reply({"status": "ok"})


@get("/ready", name="ready")
async def ready(request: AnyRequest) -> Response[bytes]:
    """503 where the database is gone; a gateway in trouble is named, and does not stop the service."""
    store = service_of(request).store
    try:
        async with asyncio.timeout(_PATIENCE_S):
            await store.ping()
            gateways = (await store.page(Kind.GATEWAY, Query(limit=100))).items
            states = {item.spec.name: (await store.gateway_status(item.id)).state for item in gateways}
    except StoreUnavailable as error:
        return _down(error.message)
    except TimeoutError:
        return _down(f"the database does not answer within {_PATIENCE_S:g} s")
    well = all(state in _WELL for state in states.values())
    parts = {"database": "ok", **{f"gateway {name}": state for name, state in states.items()}}
    return reply({"status": "ok" if well else "degraded", "parts": parts})


def _down(reason: str) -> Response[bytes]:
    return reply({"status": "down", "parts": {"database": reason}}, status=503, Retry_After="1")


def health_router() -> Router:
    return Router(path="/health", route_handlers=[live, ready])
