"""A gateway that holds what the compiler makes of a declaration, and calls to it."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from redis.asyncio import Redis

from controlplane.core.abilities import Abilities
from controlplane.core.contexts import CounterStore
from controlplane.core.objects import ObjectKey, resolve
from controlplane.core.plan import Action, plan_against_live
from controlplane.core.platform import NO_PLATFORM, Platform
from controlplane.core.secrets import SecretRef
from controlplane.core.uses import UsesAddress
from controlplane.core.validation import ValidationAddress
from controlplane.gateway.apisix import ApisixAdmin
from controlplane.gateway.client import AdminClient
from tests.contract.targets import Target, real_apisix, twin
from tests.fixtures.services import until
from tests.fixtures.specs import compiled, document, queue

# Any: JSON.

HELLO: dict[str, Any] = {"messages": [{"role": "user", "content": "hi"}]}
TARGETS = [
    "twin",
    pytest.param(
        "apisix",
        marks=pytest.mark.skipif(
            "SLUICE_TEST_APISIX_ADMIN_URL" not in os.environ,
            reason="SLUICE_TEST_APISIX_ADMIN_URL names no APISIX",
        ),
    ),
]
WEB, OTHER = "sk-contract-web-0001", "sk-contract-other-01"
PROOF, USES_PROOF = "what-a-gateway-asks-with", "what-a-gateway-tells-with"


@dataclass
class Declared:
    """A gateway that holds exactly what was declared last."""

    target: Target
    admin: ApisixAdmin
    client: httpx.AsyncClient
    counters: CounterStore
    redis_password: str

    async def declare(
        self,
        *queues: dict[str, Any],
        platform: Platform = NO_PLATFORM,
        service: str | None = None,
        uses: UsesAddress | None = None,
        **parts: Any,
    ) -> None:
        """Compile, plan against what is there, check against its schemas, write."""
        abilities = Abilities.of((await self.admin.capabilities()).plugins)
        account = {"name": "openai-main", "type": "openai", "endpoint": f"http://{self.target.mock_address}"}
        names = [item["name"] for item in queues]
        keys = [{"name": "web", "queues": names}, {"name": "other"}]
        values: dict[str, Any] = {"providers": [account], "queues": list(queues), "keys": keys, **parts}
        result = compiled(document(**values), self.counters, abilities, platform, _validation(service), uses)
        assert result.problems == ()
        assert await self.admin.check(result.objects) == {}
        texts = {
            **{f"provider/{item['name']}": f"sk-{item['name']}" for item in values["providers"]},
            "provider/openai-main": "sk-provider",
            "key/web": WEB,
            "key/other": OTHER,
            "redis": self.redis_password,
            "rule/weather": "target-secret",
            "validation": PROOF,
            "uses": USES_PROOF,
        }
        live = await self.admin.read()
        plan = plan_against_live(result.objects, live, {}, owner="sluice", digest=_digest(texts))
        for step in plan.steps:
            if step.action is Action.DELETE:
                await self.admin.delete(step.key)
            elif step.wanted is not None:
                await self.admin.write(step.key, resolve(step.wanted.body, texts))
        again = plan_against_live(
            result.objects, await self.admin.read(), {}, owner="sluice", digest=_digest(texts)
        )
        assert again.steps == ()

    async def call(
        self, path: str, body: Any = None, *, key: str | None = WEB, **headers: str
    ) -> httpx.Response:
        """A call that costs ten tokens; header names are written with `_` for `-`, and `__` for `_`."""
        named = {
            name.replace("__", "\0").replace("_", "-").replace("\0", "_"): value
            for name, value in headers.items()
        }
        if key is not None:
            named.setdefault("Authorization", f"Bearer {key}")
        named.setdefault("X-Mock-Usage", "10")
        return await self.client.post(path, json=HELLO if body is None else body, headers=named)

    async def ready(self, path: str) -> None:
        """A real gateway takes some milliseconds to take in what was written."""

        async def there() -> bool:
            return (await self.call(path, key=None)).status_code != 404

        await until(there, f"the route of {path}")


def _validation(service: str | None) -> ValidationAddress | None:
    """The service that a gateway asks and tells, for rules with external validators."""
    if service is None:
        return None
    return ValidationAddress(service, lambda _: SecretRef("validation", "print-of-validation"))


def _digest(texts: dict[str, str]) -> Any:
    prints = {text: f"print-of-{name}" for name, text in texts.items()}
    return lambda text: prints.get(text, "unknown")


@asynccontextmanager
async def _target(name: str, folder: Path, valkey_url: str) -> AsyncIterator[Target]:
    async with real_apisix() if name == "apisix" else twin(folder, valkey_url) as target:
        yield target


async def _forget_counters(redis_url: str) -> None:
    """Counters are kept under the ids of objects, and an earlier run had the same."""
    async with Redis.from_url(redis_url) as client:
        async for key in client.scan_iter("plugin-*"):
            await client.delete(key)


async def _empty(admin: ApisixAdmin) -> None:
    ours = [key for key, found in (await admin.read()).items() if found.owner == "sluice"]
    for key in sorted(ours, key=lambda key: -key.kind.rank):
        await admin.delete(ObjectKey(key.kind, key.id))


@asynccontextmanager
async def declared_on(name: str, folder: Path, valkey_url: str) -> AsyncIterator[Declared]:
    """A gateway to declare on, with no counters of an earlier run; emptied in the end."""
    async with _target(name, folder, valkey_url) as target:
        options = target.redis_options
        password = str(options.get("redis_password", ""))
        counters = CounterStore(
            host=str(options["redis_host"]),
            port=int(str(options["redis_port"])),
            database=int(str(options.get("redis_database", 0))),
            password=SecretRef("redis", "print-of-redis") if password else None,
        )
        await _forget_counters(target.redis_url)
        admin = ApisixAdmin(AdminClient(target.admin_url, target.admin_key))
        async with httpx.AsyncClient(base_url=target.traffic_url, timeout=60) as client:
            made = Declared(target, admin, client, counters, password)
            try:
                yield made
            finally:
                await _empty(admin)
                await admin.close()


def unique(limits: list[dict[str, Any]], **parts: Any) -> dict[str, Any]:
    """A queue with an id of its own, so that no counter of another test is met."""
    return queue(id=str(uuid4()), limits=limits, **parts)


CHAT = "/queues/support/v1/chat/completions"
