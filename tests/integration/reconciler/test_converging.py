"""The reconciler over a real gateway, a real Postgres and a real Valkey."""

import asyncio
import copy
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from controlplane.clock import SystemClock
from controlplane.core.gateways import GatewaySpec
from controlplane.core.limits import Limit
from controlplane.core.spec import Document
from controlplane.embedded.mock import MockProvider
from controlplane.fallback.gateway import Gateway, GatewayConfig
from controlplane.reconciler.wiring import make_reconciling
from controlplane.settings import Settings
from controlplane.store.records import GatewayStatus, Kind
from controlplane.store.store import Store
from tests.fixtures.free_ports import free_ports
from tests.fixtures.services import until
from tests.fixtures.specs import document, queue
from tests.fixtures.stores import AUTHOR

ADMIN_KEY = "admin-key-of-the-tests"
PROVIDER_KEY = "sk-provider-canary-5521"
CLIENT_KEY = "sk-client-of-the-tests-1"

# Any: JSON.


@dataclass
class World:
    """A store, a gateway that it declares, a provider behind it, and reconcilers."""

    store: Store
    settings: Settings
    mock: MockProvider
    folder: Path
    ports: list[int]
    valkey_url: str
    stack: AsyncExitStack
    gateway: Gateway | None = None

    @property
    def admin(self) -> httpx.AsyncClient:
        headers = {"X-API-KEY": ADMIN_KEY}
        return httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.ports[1]}/apisix/admin/", headers=headers)

    async def start_gateway(self) -> Callable[[], Awaitable[None]]:
        """Start the gateway on its folder; what is returned stops it."""
        inner = AsyncExitStack()
        config = GatewayConfig(
            self.folder, ADMIN_KEY, port=self.ports[0], admin_port=self.ports[1], drain_s=0.1
        )
        self.gateway = await inner.enter_async_context(Gateway.start(config))
        self.stack.push_async_callback(inner.aclose)
        return inner.aclose

    def reconcile(self, interval_s: float = 30) -> "asyncio.Task[None]":
        """Start a replica."""
        settings = self.settings.model_copy(update={"reconcile_interval_s": interval_s})
        reconciler, _ = make_reconciling(settings, self.store, SystemClock())
        task = asyncio.create_task(reconciler.run())

        async def stop() -> None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        self.stack.push_async_callback(stop)
        return task

    async def declare_gateway(self) -> None:
        values = {
            "name": "edge",
            "admin_url": f"http://127.0.0.1:{self.ports[1]}",
            "admin_key": ADMIN_KEY,
            "redis_url": self.valkey_url,
        }
        await self.store.create(Kind.GATEWAY, GatewaySpec.model_validate(values), AUTHOR)

    async def apply(self, **parts: Any) -> int:
        account = {"name": "openai-main", "type": "openai", "endpoint": self.mock.base_url}
        values = document(
            providers=[account | {"api_key": PROVIDER_KEY}],
            keys=[{"name": "web", "key": CLIENT_KEY, "queues": ["support"]}],
            **parts,
        )
        return (await self.store.apply(Document.model_validate(values), AUTHOR)).revision

    async def status(self) -> GatewayStatus:
        gateway = await self.store.get(Kind.GATEWAY, "edge")
        return await self.store.gateway_status(gateway.id)

    async def converged(self, revision: int) -> GatewayStatus:
        async def reached() -> bool:
            status = await self.status()
            return status.state == "converged" and status.applied_revision >= revision

        await until(reached, f"revision {revision} on the gateway")
        return await self.status()

    async def in_state(self, state: str) -> GatewayStatus:
        async def reached() -> bool:
            return (await self.status()).state == state

        await until(reached, f"the state {state}")
        return await self.status()

    async def call(self, tokens: int = 10) -> httpx.Response:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.ports[0]}", timeout=60) as client:
            return await client.post(
                "/queues/support/v1/chat/completions",
                json={"messages": [{"role": "user", "content": "hi"}]},
                headers={"Authorization": f"Bearer {CLIENT_KEY}", "X-Mock-Usage": str(tokens)},
            )


@asynccontextmanager
async def _world(store: Store, settings: Settings, folder: Path, valkey_url: str) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack, MockProvider.start() as mock:
        world = World(store, settings, mock, folder, free_ports(2), valkey_url, stack)
        yield world
        await stack.aclose()


@pytest.fixture
async def world(
    store: Store, store_settings: Settings, tmp_path: Path, valkey_url: str
) -> AsyncIterator[World]:
    async with _world(store, store_settings, tmp_path / "gateway", valkey_url) as made:
        await made.declare_gateway()
        yield made


def limited(tokens: int) -> list[dict[str, Any]]:
    return [queue(limits=[{"tokens": tokens, "per": "1h"}])]


async def test_a_declared_budget_is_enforced_and_can_be_raised_without_losing_what_was_used(
    world: World,
) -> None:
    await world.start_gateway()
    world.reconcile()
    await world.converged(await world.apply(queues=limited(100)))
    assert [(await world.call(60)).status_code for _ in range(3)] == [200, 200, 429]
    await world.converged(await world.apply(queues=limited(1000)))
    reply = await world.call(60)
    assert reply.status_code == 200
    assert reply.headers["X-AI-queue-RateLimit-Remaining"] == "880"


async def test_what_the_client_sent_to_prove_itself_does_not_reach_the_provider(world: World) -> None:
    await world.start_gateway()
    world.reconcile()
    await world.converged(await world.apply())
    await world.call()
    headers = dict(world.mock.requests[-1].headers)
    assert headers["authorization"] == f"Bearer {PROVIDER_KEY}"
    assert CLIENT_KEY not in str(headers)
    assert "x-consumer-username" not in headers


async def test_an_idle_system_is_looked_at_and_not_written_to(world: World) -> None:
    await world.start_gateway()
    world.reconcile(interval_s=0.05)
    before = await world.converged(await world.apply(queues=limited(100)))
    passes = {before.last_pass}

    async def looked_often() -> bool:
        passes.add((await world.status()).last_pass)
        return len(passes) > 5

    await until(looked_often, "five more passes")
    assert (await world.status()).writes == before.writes


async def test_only_what_changed_is_written(world: World) -> None:
    await world.start_gateway()
    world.reconcile()
    before = await world.converged(await world.apply(queues=limited(100)))
    after = await world.converged(await world.apply(queues=limited(200)))
    assert after.writes == before.writes + 1


async def test_an_edit_by_hand_is_healed_and_a_stranger_s_route_is_left_alone(world: World) -> None:
    await world.start_gateway()
    world.reconcile(interval_s=0.05)
    await world.converged(await world.apply(queues=limited(100)))
    async with world.admin as admin:
        await admin.put("routes/theirs", json={"uri": "/theirs", "upstream": {"nodes": {"127.0.0.1:1": 1}}})
        await admin.patch("routes/q.support", json={"priority": 7})
        await admin.delete("routes/q.support.model")

        async def healed() -> bool:
            route = (await admin.get("routes/q.support")).json()
            there = (await admin.get("routes/q.support.model")).status_code == 200
            return there and route["value"]["priority"] == 100

        await until(healed, "the healed routes")
        assert (await admin.get("routes/theirs")).status_code == 200


async def test_an_id_that_somebody_else_has_is_told_and_the_rest_goes_on(world: World) -> None:
    await world.start_gateway()
    async with world.admin as admin:
        theirs = {"uri": "/theirs", "upstream": {"nodes": {"127.0.0.1:1": 1}}}
        await admin.put("routes/q.support.model", json=theirs)
        world.reconcile()
        await world.apply()
        status = await world.in_state("degraded")
        assert status.error is not None
        assert "routes/q.support.model exists on the gateway without our label" in status.error
        assert (await admin.get("routes/q.support.model")).json()["value"]["uri"] == "/theirs"
        assert (await world.call()).status_code == 200


async def test_a_gateway_that_is_away_gets_everything_when_it_is_back(world: World) -> None:
    world.reconcile(interval_s=0.5)
    revision = await world.apply(queues=limited(100))
    status = await world.in_state("unreachable")
    assert status.error is not None
    await world.start_gateway()
    await world.converged(revision)
    assert (await world.call()).status_code == 200


async def test_a_gateway_that_lost_everything_is_filled_again(world: World, tmp_path: Path) -> None:
    stop = await world.start_gateway()
    world.reconcile(interval_s=0.2)
    await world.converged(await world.apply(queues=limited(100)))
    await stop()
    world.folder = tmp_path / "another"
    await world.start_gateway()

    async def answers() -> bool:
        return (await world.call()).status_code == 200

    await until(answers, "the refilled gateway")


async def test_what_is_no_longer_declared_is_removed(world: World) -> None:
    await world.start_gateway()
    world.reconcile()
    await world.converged(await world.apply())
    await world.store.delete(Kind.KEY, "web", AUTHOR)
    await world.converged(await world.store.delete(Kind.QUEUE, "support", AUTHOR))
    async with world.admin as admin:
        routes = (await admin.get("routes")).json()["list"]
        assert [item["value"]["id"] for item in routes] == ["p.openai-main"]
        assert (await admin.get("consumers")).json()["list"] == []


async def test_one_replica_leads_and_another_takes_over(world: World) -> None:
    await world.start_gateway()
    leader = world.reconcile()
    await world.converged(await world.apply(queues=limited(100)))
    world.reconcile()
    leader.cancel()
    await asyncio.gather(leader, return_exceptions=True)
    await world.converged(await world.apply(queues=limited(200)))


async def test_an_object_that_the_gateway_refuses_fails_alone_and_shows_no_secret(world: World) -> None:
    await world.start_gateway()
    world.reconcile(interval_s=0.2)
    # The gateway refuses a delete of what something else refers to.
    await world.converged(await world.apply())
    async with world.admin as admin:
        policy = (await admin.get("plugin_configs/q.support")).json()["value"]
        theirs = {"uri": "/theirs", "plugin_config_id": "q.support", "service_id": "sluice.tokens"}
        assert (await admin.put("routes/theirs", json=copy.deepcopy(theirs))).status_code == 201
        await world.store.delete(Kind.KEY, "web", AUTHOR)
        await world.store.delete(Kind.QUEUE, "support", AUTHOR)
        status = await world.in_state("degraded")
        assert status.error is not None
        assert "plugin_configs/q.support" in status.error
        assert PROVIDER_KEY not in status.error
        assert (await admin.get("routes/q.support")).status_code == 404
        assert policy["labels"]["sluice-owner"] == "sluice"
        await admin.delete("routes/theirs")
        await world.in_state("converged")


async def test_a_gateway_in_trouble_holds_up_no_other(world: World) -> None:
    for name, url in (("strange", world.mock.base_url), ("away", "http://127.0.0.1:1")):
        spec = GatewaySpec.model_validate({"name": name, "admin_url": url, "admin_key": ADMIN_KEY})
        await world.store.create(Kind.GATEWAY, spec, AUTHOR)
    await world.start_gateway()
    world.reconcile()
    await world.converged(await world.apply(queues=limited(100)))

    async def told() -> bool:
        gateways = [await world.store.get(Kind.GATEWAY, name) for name in ("strange", "away")]
        return all([(await world.store.gateway_status(gateway.id)).error for gateway in gateways])

    await until(told, "the troubles of both")


async def test_a_gateway_whose_secrets_cannot_be_opened_says_so_and_holds_up_no_other(world: World) -> None:
    spec = GatewaySpec.model_validate({"name": "sealed", "admin_url": "http://127.0.0.1:1", "admin_key": "k"})
    sealed = (await world.store.create(Kind.GATEWAY, spec, AUTHOR)).stored
    async with world.store.database.connection() as connection:
        other = {"admin_key": {"sealed": "sealed:1:00000000:AAAA", "fingerprint": "x"}}
        await connection.execute("UPDATE gateway SET secrets = $1 WHERE id = $2", other, sealed.id)
    await world.start_gateway()
    world.reconcile()
    await world.converged(await world.apply(queues=limited(100)))
    error = (await world.store.gateway_status(sealed.id)).error
    assert error is not None
    assert "not sealed with the present master key" in error


async def test_a_gateway_that_is_behind_is_not_called_converged(world: World) -> None:
    await world.start_gateway()
    task = world.reconcile()
    await world.converged(await world.apply(queues=limited(100)))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await world.apply(queues=limited(200))
    assert (await world.status()).state == "pending"


async def test_an_expired_key_is_closed_without_anybody_doing_anything(world: World) -> None:
    await world.start_gateway()
    world.reconcile(interval_s=0.2)
    await world.converged(await world.apply())
    assert (await world.call()).status_code == 200
    await world.store.patch(Kind.KEY, "web", {"expires_at": "2020-01-01T00:00:00Z"}, AUTHOR)

    async def closed() -> bool:
        return (await world.call()).status_code == 401

    await until(closed, "the closed key")


async def test_a_gateway_s_own_limit_holds_and_goes_when_it_is_taken_back(world: World) -> None:
    await world.start_gateway()
    world.reconcile()
    await world.converged(await world.apply())
    gateway = await world.store.get(Kind.GATEWAY, "edge")
    for limits, wanted in (([{"tokens": 100, "per": "1h"}], [200, 200, 429]), ([], [200])):
        spec = gateway.spec.model_copy(update={"limits": tuple(Limit.model_validate(one) for one in limits)})
        written = await world.store.replace(Kind.GATEWAY, "edge", spec, AUTHOR)
        await world.converged(written.stored.version)
        assert [(await world.call(60)).status_code for _ in wanted] == wanted


async def test_a_suspended_tenant_is_shut_out(world: World) -> None:
    await world.start_gateway()
    world.reconcile()
    for suspended, wanted in ((False, 200), (True, 403), (False, 200)):
        tenants = [{"name": "acme", "suspended": suspended}]
        await world.converged(await world.apply(tenants=tenants, queues=[queue(tenant="acme")]))
        assert (await world.call()).status_code == wanted
