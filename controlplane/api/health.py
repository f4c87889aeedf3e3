"""Whether the service lives, and which part it misses. No token is needed."""

from litestar import Response, Router, get

from controlplane.api.bodies import AnyRequest
from controlplane.api.service import service_of
from controlplane.api.views import reply
from controlplane.errors import StoreUnavailable
from controlplane.store.records import Kind, Query

_WELL = ("converged", "pending")


@get("/live", name="live")
async def live() -> Response[bytes]:
    """The process answers."""
    return reply({"status": "ok"})


@get("/ready", name="ready")
async def ready(request: AnyRequest) -> Response[bytes]:
    """503 where the database is gone; a gateway in trouble is named, and does not stop the service."""
    store = service_of(request).store
    try:
        await store.ping()
        gateways = (await store.page(Kind.GATEWAY, Query(limit=100))).items
        states = {item.spec.name: (await store.gateway_status(item.id)).state for item in gateways}
    except StoreUnavailable as error:
        return reply({"status": "down", "parts": {"database": error.message}}, status=503, Retry_After="1")
    well = all(state in _WELL for state in states.values())
    parts = {"database": "ok", **{f"gateway {name}": state for name, state in states.items()}}
    return reply({"status": "ok" if well else "degraded", "parts": parts})


def health_router() -> Router:
    return Router(path="/health", route_handlers=[live, ready])
