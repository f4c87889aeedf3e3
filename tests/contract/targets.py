"""The gateways that recorded stories are replayed against: our own, and a real APISIX where there is one."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpx

from controlplane.embedded.mock import MockProvider
from controlplane.fallback.gateway import Gateway, GatewayConfig

ADMIN_KEY = "contract-admin-key"
# In the order in which they can be deleted: who refers to others goes first.
KINDS = (
    *("global_rules", "routes", "services", "plugin_configs", "consumers", "consumer_groups", "upstreams"),
    *("plugin_metadata", "secrets"),
)
# A real gateway answers a write before all of it knows, and does not say when it does.
_TAKEN_IN_S = 0.4


@dataclass
class Target:
    """A gateway under test, the provider behind it and the Redis that it counts in."""

    admin_url: str
    admin_key: str
    traffic_url: str
    mock: MockProvider
    mock_address: str
    redis_url: str
    real: bool
    unsettled: bool = False

    def written(self) -> None:
        """Something was changed over the Admin API."""
        self.unsettled = self.real

    async def settle(self) -> None:
        """Return when what was written is in effect."""
        if self.unsettled:
            await asyncio.sleep(_TAKEN_IN_S)
            self.unsettled = False

    @property
    def traffic_address(self) -> str:
        return urlsplit(self.traffic_url).netloc

    @property
    def redis_options(self) -> dict[str, object]:
        """How a plugin's configuration names this Redis."""
        parts = urlsplit(self.redis_url)
        options: dict[str, object] = {"redis_host": parts.hostname, "redis_port": parts.port}
        if parts.password:
            options["redis_password"] = unquote(parts.password)
        database = int(parts.path.lstrip("/") or 0)
        if database:
            options["redis_database"] = database
        return options


@asynccontextmanager
async def twin(folder: Path, redis_url: str) -> AsyncIterator[Target]:
    """A fallback gateway of its own, with nothing in it."""
    config = GatewayConfig(folder=folder, admin_key=ADMIN_KEY, drain_s=1.0)
    async with MockProvider.start() as mock, Gateway.start(config) as gateway:
        mock.set_defaults(shape="chat")
        address = urlsplit(mock.base_url).netloc
        yield Target(gateway.admin_url, ADMIN_KEY, gateway.url, mock, address, redis_url, real=False)


@asynccontextmanager
async def real_apisix() -> AsyncIterator[Target]:
    """The APISIX of the SLUICE_TEST_APISIX_* variables; its provider listens where it can reach it."""
    host = os.environ.get("SLUICE_TEST_APISIX_MOCK_HOST", "127.0.0.1")
    async with MockProvider.start(host=host) as mock:
        mock.set_defaults(shape="chat")
        yield Target(
            os.environ["SLUICE_TEST_APISIX_ADMIN_URL"],
            os.environ["SLUICE_TEST_APISIX_ADMIN_KEY"],
            os.environ["SLUICE_TEST_APISIX_TRAFFIC_URL"],
            mock,
            urlsplit(mock.base_url).netloc,
            os.environ.get("SLUICE_TEST_APISIX_REDIS_URL", "redis://127.0.0.1:6379/0"),
            real=True,
        )


@asynccontextmanager
async def emptied(target: Target) -> AsyncIterator[None]:
    """Begin with a gateway that holds nothing, and leave it so. What others keep on it is not touched."""
    if not target.real:
        yield
        return
    headers = {"X-API-KEY": target.admin_key}
    async with httpx.AsyncClient(base_url=target.admin_url, headers=headers, timeout=30) as client:
        found = await _keys(client)
        if found:
            raise RuntimeError(
                f"the APISIX for the recorded stories must hold nothing, but there is {found[0]}"
            )
        try:
            yield
        finally:
            for key in await _keys(client):
                await client.delete(f"/apisix/admin/{key}?force=true")
            target.written()
            await target.settle()


async def _keys(client: httpx.AsyncClient) -> list[str]:
    lists = [(await client.get(f"/apisix/admin/{kind}")).json()["list"] for kind in KINDS]
    return [item["key"].removeprefix("/apisix/") for found in lists for item in found]
