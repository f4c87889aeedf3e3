"""Keys on gateways as time goes by: rotated, revoked, ended. The timer never helps here: it is an hour."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from controlplane.clock import Clock, SystemClock
from controlplane.core.gateways import GatewaySpec
from controlplane.core.spec import Document
from controlplane.embedded.mock import MockProvider
from controlplane.fallback.gateway import Gateway, GatewayConfig
from controlplane.reconciler.wiring import make_reconciling
from controlplane.settings import Settings
from controlplane.store.records import Kind, Query
from controlplane.store.store import Store
from tests.fixtures.free_ports import free_ports
from tests.fixtures.services import until
from tests.fixtures.specs import document
from tests.fixtures.stores import AUTHOR

ADMIN_KEY = "admin-key-of-the-tests"
FIRST = "sk-client-of-the-tests-1"
HOUR_S = 3600.0


class AheadClock:
    """The system's clock, so many seconds ahead."""

    def __init__(self, ahead_s: float) -> None:
        self._ahead_s = ahead_s

    def now(self) -> float:
        return SystemClock().now() + self._ahead_s

    def monotonic(self) -> float:
        return SystemClock().monotonic()


@dataclass
class Gateways:
    """Two gateways that a replica keeps, and a key that opens a queue on both."""

    store: Store
    settings: Settings
    ports: list[int] = field(default_factory=list)

    @asynccontextmanager
    async def replica(self, clock: Clock) -> AsyncIterator[None]:
        settings = self.settings.model_copy(update={"reconcile_interval_s": HOUR_S})
        task = asyncio.create_task(make_reconciling(settings, self.store, clock)[0].run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def statuses(self, text: str) -> set[int]:
        """What each gateway answers to a call with this text."""
        found = set()
        for port in self.ports:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
                reply = await client.post(
                    "/queues/support/v1/chat/completions",
                    json={"messages": [{"role": "user", "content": "hi"}]},
                    headers={"Authorization": f"Bearer {text}"},
                )
            found.add(reply.status_code)
        return found

    async def answers(self, status: int, text: str) -> None:
        """Wait until every gateway answers so to this text."""
        await until(self._answering(status, text), f"{status} of every gateway")

    def _answering(self, status: int, text: str) -> Callable[[], Awaitable[bool]]:
        async def answering() -> bool:
            return await self.statuses(text) == {status}

        return answering

    async def rotate(self, overlap_s: int) -> str:
        made = (await self.store.rotate("web", overlap_s, AUTHOR)).new_key
        assert made is not None
        return made


@pytest.fixture
async def gateways(store: Store, store_settings: Settings, tmp_path: Path) -> AsyncIterator[Gateways]:
    world = Gateways(store, store_settings)
    async with AsyncExitStack() as stack:
        mock = await stack.enter_async_context(MockProvider.start())
        for name in ("east", "west"):
            ports = free_ports(2)
            config = GatewayConfig(
                tmp_path / name, ADMIN_KEY, port=ports[0], admin_port=ports[1], drain_s=0.1
            )
            await stack.enter_async_context(Gateway.start(config))
            values = {"name": name, "admin_url": f"http://127.0.0.1:{ports[1]}", "admin_key": ADMIN_KEY}
            await store.create(Kind.GATEWAY, GatewaySpec.model_validate(values), AUTHOR)
            world.ports.append(ports[0])
        account = {"name": "openai-main", "type": "openai", "endpoint": mock.base_url, "api_key": "sk-mock"}
        key = {"name": "web", "key": FIRST, "queues": ["support"]}
        declared = Document.model_validate(document(providers=[account], keys=[key]))
        await store.apply(declared, AUTHOR)
        yield world


async def test_a_revoked_key_opens_no_gateway_as_soon_as_another_replica_hears_of_it(
    gateways: Gateways,
) -> None:
    async with gateways.replica(SystemClock()):
        await gateways.answers(200, FIRST)
        await gateways.store.patch(Kind.KEY, "web", {"enabled": False}, AUTHOR)
        await gateways.answers(401, FIRST)
        await gateways.store.patch(Kind.KEY, "web", {"enabled": True}, AUTHOR)
        await gateways.answers(200, FIRST)
        await gateways.store.delete(Kind.KEY, "web", AUTHOR)
        await gateways.answers(401, FIRST)


async def test_both_texts_work_until_the_window_ends_and_then_only_the_new_one_even_after_a_restart(
    gateways: Gateways,
) -> None:
    async with gateways.replica(SystemClock()):
        await gateways.answers(200, FIRST)
        second = await gateways.rotate(overlap_s=3600)
        await gateways.answers(200, second)
        assert await gateways.statuses(FIRST) == {200}
    async with gateways.replica(AheadClock(2 * HOUR_S)):
        await gateways.answers(401, FIRST)
        assert await gateways.statuses(second) == {200}


async def test_a_window_ends_although_nothing_else_happens(gateways: Gateways) -> None:
    async with gateways.replica(SystemClock()):
        await gateways.answers(200, FIRST)
        second = await gateways.rotate(overlap_s=2)
        await gateways.answers(401, FIRST)
        assert await gateways.statuses(second) == {200}


async def test_without_an_overlap_the_old_text_ends_with_the_new_one_s_coming(gateways: Gateways) -> None:
    async with gateways.replica(SystemClock()):
        await gateways.answers(200, FIRST)
        second = await gateways.rotate(overlap_s=0)
        await gateways.answers(200, second)
        await gateways.answers(401, FIRST)


async def test_a_key_expires_although_nothing_else_happens(gateways: Gateways) -> None:
    async with gateways.replica(SystemClock()):
        await gateways.answers(200, FIRST)
        soon = datetime.now(UTC) + timedelta(seconds=2)
        await gateways.store.patch(Kind.KEY, "web", {"expires_at": soon.isoformat()}, AUTHOR)
        await gateways.answers(401, FIRST)


async def test_when_a_key_was_last_used_is_told_by_whichever_gateway_it_called(gateways: Gateways) -> None:
    began = datetime.now(UTC)

    async def told() -> datetime | None:
        found: datetime | None = (await gateways.store.get(Kind.KEY, "web")).last_used_at
        return found

    async with gateways.replica(SystemClock()):
        await gateways.answers(200, FIRST)
    # Each replica looks at the gateways when it begins to lead them.
    async with gateways.replica(SystemClock()):

        async def known() -> bool:
            return await told() is not None

        await until(known, "the key's last use")
    used = await told()
    assert used is not None
    assert began < used < datetime.now(UTC)
    (listed,) = (await gateways.store.page(Kind.KEY, Query())).items
    assert listed.last_used_at == used
    await gateways.store.patch(Kind.KEY, "web", {"labels": {"a": "b"}}, AUTHOR)
    assert await told() == used
