"""A world with a gateway, an API for rules to forward to, and validators."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from controlplane.settings import Settings
from controlplane.store.store import Store
from tests.fixtures.http_api import HttpApi, http_api
from tests.fixtures.worlds import World

# Any: declarations and JSON.


@dataclass
class Ruled:
    """A gateway that holds what is declared, and what stands behind its rules."""

    world: World
    target: HttpApi
    validators: list[HttpApi]
    traffic: httpx.AsyncClient

    async def declare(self, **parts: Any) -> None:
        """Declare these parts, and wait until the gateway has them."""
        async with self.world.api() as api:
            reply = await api.post("/api/v1/apply", json={"source": "team", **parts})
            assert reply.status_code == 200, reply.text
        await self.world.in_state("converged")

    async def rule(self, *plugins: dict[str, Any], **parts: Any) -> None:
        """An open rule on /weather with these plugins."""
        values = {"name": "weather", "path": "/weather", "target": self.target.url, "access": "open"}
        await self.declare(rules=[{**values, "plugins": list(plugins), **parts}])

    def validator(self, number: int = 0, **parts: Any) -> dict[str, Any]:
        """An external validator as a rule names it; `settings` of its own go before the usual ones."""
        settings = {
            "url": f"{self.validators[number].url}/ask",
            "timeout_ms": 5000,
            **parts.pop("settings", {}),
        }
        return {"name": "external_validator", "settings": settings, **parts}


@pytest.fixture
async def ruled(store: Store, service_settings: Settings, tmp_path: Path) -> AsyncIterator[Ruled]:
    async with AsyncExitStack() as stack:
        world = World(store, service_settings, tmp_path)
        await world.start_gateway()
        stack.push_async_callback(world.stop_gateway)
        await world.declare_gateway()
        target = await stack.enter_async_context(http_api())
        validators = [await stack.enter_async_context(http_api()) for _ in range(2)]
        await stack.enter_async_context(world.served())
        url = f"http://127.0.0.1:{world.ports[0]}"
        traffic = await stack.enter_async_context(httpx.AsyncClient(base_url=url, timeout=30))
        yield Ruled(world, target, validators, traffic)
