"""When keys were last used, as a gateway that is asked to tells it: in batches, beside its calls."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from controlplane.embedded.mock import MockProvider
from controlplane.settings import Settings
from controlplane.store.store import Store
from tests.fixtures.services import app_of, client, serving, until
from tests.fixtures.specs import document
from tests.fixtures.worlds import World

# Any: JSON.

WEB, OTHER = "sk-of-the-tests-web-1", "sk-of-the-tests-other-1"
CHAT = "/queues/support/v1/chat/completions"
HELLO = {"messages": [{"role": "user", "content": "hi"}]}
ELSEWHERE = {"name": "far", "admin_url": "http://apisix.example:9180", "admin_key": "x", "enabled": False}


@dataclass
class Told:
    """A gateway that tells when its keys were used, and the service that it tells."""

    world: World
    api: httpx.AsyncClient

    async def call(self, key: str) -> int:
        headers = {"Authorization": f"Bearer {key}"}
        url = f"http://127.0.0.1:{self.world.ports[0]}{CHAT}"
        async with httpx.AsyncClient(timeout=30) as caller:
            return (await caller.post(url, json=HELLO, headers=headers)).status_code

    async def last_used(self, key: str) -> str | None:
        found: str | None = (await self.api.get(f"/api/v1/keys/{key}")).json()["last_used_at"]
        return found

    async def logger(self) -> dict[str, Any]:
        """How the gateway was told to tell."""
        found = await self.world.objects()
        services = [value for path, value in found.items() if path.startswith("services/")]
        conf: dict[str, Any] = services[0]["plugins"]["http-logger"]
        return conf

    async def consumer(self, key: str) -> str:
        found: str = (await self.api.get(f"/api/v1/keys/{key}")).json()["id"]
        return "key-" + found.replace("-", "")


@pytest.fixture
async def told(store: Store, service_settings: Settings, tmp_path: Path) -> AsyncIterator[Told]:
    async with AsyncExitStack() as stack:
        world = World(store, service_settings, tmp_path)
        await world.start_gateway()
        stack.push_async_callback(world.stop_gateway)
        await world.declare_gateway(last_used=True)
        mock = await stack.enter_async_context(MockProvider.start())
        await stack.enter_async_context(world.served())
        api = await stack.enter_async_context(world.api())
        account = {"name": "openai-main", "type": "openai", "endpoint": mock.base_url, "api_key": "sk-mock"}
        texts = {"web": WEB, "other": OTHER}
        keys = [{"name": name, "key": text, "queues": ["support"]} for name, text in texts.items()]
        reply = await api.post("/api/v1/apply", json=document(providers=[account], keys=keys))
        assert reply.status_code == 200, reply.text
        yield Told(world, api)


async def test_a_call_with_a_key_is_told_of_and_no_other_key_is_touched(told: Told) -> None:
    async def let_in() -> bool:
        return await told.call(WEB) == 200

    await until(let_in, "the key")

    async def known() -> bool:
        return await told.last_used("web") is not None

    await until(known, "the key's last use")
    assert await told.last_used("other") is None


async def test_only_the_gateway_itself_is_believed_and_only_about_keys(told: Told) -> None:
    async def declared() -> bool:
        return await told.call(WEB) == 200

    await until(declared, "the key")
    conf = await told.logger()
    proof = {"Authorization": conf["auth_header"]}
    other = conf["uri"].replace(conf["uri"].split("/")[-2], str(uuid4()))
    entry = {"consumer": await told.consumer("other"), "at": "1700000000.125"}
    async with httpx.AsyncClient(timeout=30) as somebody:

        async def tells(entries: Any, url: str = conf["uri"], **headers: str) -> int:
            return (await somebody.post(url, json=entries, headers=headers)).status_code

        assert await tells([entry]) == 401
        assert await tells([entry], Authorization="Bearer x") == 401
        assert await tells([entry], other, **proof) == 401
        assert await tells(entry, **proof) == 400
        assert await told.last_used("other") is None
        gone = {"consumer": f"key-{uuid4().hex}", "at": "1700000001"}
        odd = [7, {}, {"consumer": "somebody", "at": 5}, {"consumer": entry["consumer"], "at": "never"}]
        older = {**entry, "at": 1600000000}
        assert await tells([gone, *odd, entry, older], **proof) == 204
        assert await told.last_used("other") == "2023-11-14T22:13:20.125000+00:00"
        assert await tells([older], **proof) == 204
        assert await told.last_used("other") == "2023-11-14T22:13:20.125000+00:00"
        assert await tells([{**entry, "at": time.time() + 1e9}], **proof) == 204
        assert (await told.last_used("other") or "") < "2033"
    token = conf["auth_header"].removeprefix("Bearer ")
    for path in ("gateways/edge", "gateways/edge/objects", "audit", "export"):
        assert token not in (await told.api.get(f"/api/v1/{path}")).text


async def test_a_gateway_that_is_no_longer_asked_is_told_so_and_loses_its_logger(told: Told) -> None:
    async def declared() -> bool:
        return await told.call(WEB) == 200

    await until(declared, "the key")
    conf = await told.logger()
    assert (await told.api.patch("/api/v1/gateways/edge", json={"last_used": False})).status_code == 200

    async def gone() -> bool:
        found = await told.world.objects()
        return not any("http-logger" in value.get("plugins", {}) for value in found.values())

    await until(gone, "the gateway without its logger")
    entry = {"consumer": await told.consumer("other"), "at": 1700000000}
    async with httpx.AsyncClient(timeout=30) as somebody:
        headers = {"Authorization": conf["auth_header"]}
        assert (await somebody.post(conf["uri"], json=[entry], headers=headers)).status_code == 404
    assert await told.last_used("other") is None


async def test_a_gateway_elsewhere_cannot_be_asked_before_it_is_known_where_it_finds_the_service(
    store: Store, service_settings: Settings
) -> None:
    async with serving(app_of(service_settings, store)) as url, client(url) as api:
        refused = await api.post("/api/v1/gateways", json={**ELSEWHERE, "last_used": True})
        assert refused.status_code == 422
        (problem,) = refused.json()["errors"]
        assert problem["field"] == "last_used"
        assert "SLUICE_VALIDATION_URL" in problem["remedy"]
        declared = {"gateways": [{**ELSEWHERE, "last_used": True}]}
        for address in ("/api/v1/apply", "/api/v1/plan"):
            (problem,) = (await api.post(address, json=declared)).json()["errors"]
            assert problem["field"] == "gateways.far.last_used"
        assert (await api.post("/api/v1/gateways", json=ELSEWHERE)).status_code == 201
        assert (await api.patch("/api/v1/gateways/far", json={"last_used": True})).status_code == 422
        near = {"last_used": True, "admin_url": "http://127.0.0.1:9180"}
        assert (await api.patch("/api/v1/gateways/far", json=near)).status_code == 200
        away = {"admin_url": ELSEWHERE["admin_url"]}
        assert (await api.patch("/api/v1/gateways/far", json=away)).status_code == 422
    known = service_settings.model_copy(update={"validation_url": "https://sluice.example"})
    async with serving(app_of(known, store)) as url, client(url) as api:
        assert (await api.patch("/api/v1/gateways/far", json=away)).status_code == 200
