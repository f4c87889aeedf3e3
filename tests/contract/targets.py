"""The gateways that recorded stories are replayed against: our own, and a real APISIX where there is one."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from controlplane.embedded.mock import MockProvider
from controlplane.fallback.gateway import Gateway, GatewayConfig

ADMIN_KEY = "contract-admin-key"


@dataclass(frozen=True)
class Target:
    """A gateway under test, the provider behind it and the Redis that it counts in."""

    admin_url: str
    admin_key: str
    traffic_url: str
    mock: MockProvider
    mock_address: str
    redis_url: str
    real: bool

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
