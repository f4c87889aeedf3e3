"""The gateway that comes from the settings rather than from a declaration."""

from controlplane.core.gateways import GatewaySpec
from controlplane.errors import NotFound
from controlplane.settings import Settings
from controlplane.store.gateways import SETTINGS
from controlplane.store.records import Author, Kind
from controlplane.store.store import Store

DEFAULT_GATEWAY = "default"
_AUTHOR = Author("system", message="gateway of the settings", source=SETTINGS)


async def ensure_default_gateway(store: Store, settings: Settings) -> None:
    """Declare the gateway `default` as SLUICE_GATEWAY_ADMIN_URL and its companions say, where they do."""
    if settings.gateway_admin_url is None:
        return
    key, redis_url = settings.gateway_admin_key, settings.redis_url
    wanted = {
        "admin_url": settings.gateway_admin_url,
        "admin_key": key.get_secret_value() if key else None,
        "redis_url": redis_url,
        "traffic_url": _traffic_url(settings),
    }
    wanted = {name: value for name, value in wanted.items() if value is not None}
    try:
        stored = await store.get(Kind.GATEWAY, DEFAULT_GATEWAY)
    except NotFound:
        spec = GatewaySpec.model_validate({"name": DEFAULT_GATEWAY, **wanted})
        await store.create(Kind.GATEWAY, spec, _AUTHOR)
        return
    now = {"admin_url": stored.spec.admin_url, "traffic_url": stored.spec.traffic_url}
    now |= await store.reveal(Kind.GATEWAY, DEFAULT_GATEWAY, _AUTHOR)
    if any(now.get(name) != value for name, value in wanted.items()):
        await store.patch(Kind.GATEWAY, DEFAULT_GATEWAY, wanted, _AUTHOR)


def _traffic_url(settings: Settings) -> str | None:
    """Known for the gateway that runs beside us; a gateway elsewhere has an address of its own."""
    own = f"http://{settings.host}:{settings.gateway_admin_port}"
    beside = settings.gateway_admin_url is not None and settings.gateway_admin_url.rstrip("/") == own
    return f"http://{settings.host}:{settings.gateway_port}" if beside else None
