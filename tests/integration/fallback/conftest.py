"""A fallback gateway with a mock provider behind it, and the words to talk to both."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from controlplane.clock import Clock
from controlplane.embedded.mock import MockProvider
from controlplane.fallback.gateway import Gateway, GatewayConfig

ADMIN_KEY = "test-admin-key"
CHAT = "/chat"
HELLO: dict[str, Any] = {"messages": [{"role": "user", "content": "hi"}]}


@dataclass(frozen=True)
class Bench:
    """A running gateway, its provider, a client for its Admin API and one for calls."""

    gateway: Gateway
    mock: MockProvider
    admin: httpx.AsyncClient
    client: httpx.AsyncClient

    def instance(self, name: str = "main", **changes: Any) -> dict[str, Any]:
        """A member of ai-proxy-multi whose provider is the mock, under a path of its own."""
        return {
            "name": name,
            "provider": "openai",
            "weight": 1,
            "priority": 0,
            "auth": {"header": {"Authorization": f"Bearer sk-{name}"}},
            "options": {"model": "m-tok10"},
            "override": {"endpoint": f"{self.mock.base_url}/{name}/v1/chat/completions"},
            **changes,
        }

    async def put(self, path: str, value: Mapping[str, Any], status: int | None = None) -> httpx.Response:
        """Write an object; it must be taken unless a status says otherwise."""
        reply = await self.admin.put(f"/apisix/admin/{path}", json=value)
        assert reply.status_code in ({200, 201} if status is None else {status}), reply.text
        return reply

    async def route(self, plugins: Mapping[str, Any] | None = None, **changes: Any) -> None:
        """A route to the mock on /chat with more plugins."""
        pool = {"ai-proxy-multi": {"instances": [self.instance()]}}
        identifier = changes.pop("id", "r1")
        await self.put(
            f"routes/{identifier}",
            {"uri": CHAT, "methods": ["POST"], "plugins": {**pool, **(plugins or {})}, **changes},
        )

    async def call(self, path: str = CHAT, body: Any = None, **headers: str) -> httpx.Response:
        """A chat call; header names are written with underscores."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.post(path, json=HELLO if body is None else body, headers=named)


@asynccontextmanager
async def running(
    folder: Path, *, clock: Clock | None = None, environ: Mapping[str, str] | None = None, **changes: Any
) -> AsyncIterator[Bench]:
    """A gateway that keeps its objects in a folder, until the block ends."""
    environ = {"PROVIDER_KEY": "sk-from-the-environment"} if environ is None else environ
    config = GatewayConfig(folder=folder, admin_key=ADMIN_KEY, drain_s=2.0, **changes)
    async with (
        MockProvider.start() as mock,
        Gateway.start(config, clock=clock, environ=environ) as gateway,
        httpx.AsyncClient(base_url=gateway.admin_url, headers={"X-API-KEY": ADMIN_KEY}, timeout=60) as admin,
        httpx.AsyncClient(base_url=gateway.url, timeout=60) as client,
    ):
        yield Bench(gateway, mock, admin, client)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with running(tmp_path / "gateway") as started:
        yield started
