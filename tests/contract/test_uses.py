"""A gateway that is asked to tells which key called and when, and nothing else of a call."""

import json
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from controlplane.core.admission import key_of_consumer
from controlplane.core.desired import derived_id
from controlplane.core.secrets import SecretRef
from controlplane.core.uses import UsesAddress
from tests.contract.declared import CHAT, OTHER, USES_PROOF, Declared, unique
from tests.contract.test_rules import call
from tests.fixtures.http_api import HttpApi, http_api
from tests.fixtures.services import until

# Any: JSON.

WEB_ID, OTHER_ID = derived_id("key", "web"), derived_id("key", "other")


@pytest.fixture
async def service() -> AsyncIterator[HttpApi]:
    async with http_api() as made:
        made.says(status=204)
        yield made


def told_at(service: HttpApi) -> UsesAddress:
    return UsesAddress(f"{service.url}/uses", SecretRef("uses", "print-of-uses"))


def entries(service: HttpApi) -> list[dict[str, Any]]:
    return [entry for asked in service.requests if asked.body for entry in json.loads(asked.body)]


async def heard_of(service: HttpApi, key: UUID) -> None:
    async def told() -> bool:
        return key in {key_of_consumer(entry["consumer"]) for entry in entries(service)}

    await until(told, "the key's use")


async def test_it_tells_the_key_and_the_moment_of_a_call_and_nothing_of_one_without_a_key(
    declared: Declared, service: HttpApi
) -> None:
    began = time.time()
    await declared.declare(unique([]), uses=told_at(service))
    await declared.ready(CHAT)

    async def let_in() -> bool:
        return (await declared.call(CHAT, x_private="of-the-caller")).status_code == 200

    await until(let_in, "the key")
    assert (await declared.call(CHAT, key="sk-nobody-s")).status_code == 401
    await heard_of(service, WEB_ID)
    found = entries(service)
    assert {key_of_consumer(entry["consumer"]) for entry in found} == {WEB_ID}
    assert all(entry.keys() <= {"consumer", "at", "route_id", "service_id"} for entry in found)
    assert all(began - 60 < float(entry["at"]) < time.time() + 60 for entry in found)
    assert {asked.headers["authorization"] for asked in service.requests} == {f"Bearer {USES_PROOF}"}
    assert not any(text in str(service.requests) for text in ("sk-contract", "sk-nobody", "of-the-caller"))


async def test_it_tells_of_calls_to_rules_as_well(declared: Declared, service: HttpApi) -> None:
    keys = [{"name": "web"}, {"name": "other", "rules": ["weather"]}]
    async with http_api() as api:
        rule = {"name": "weather", "path": "/weather", "target": api.url, "access": "keys"}
        await declared.declare(rules=[rule], keys=keys, uses=told_at(service))

        async def let_in() -> bool:
            reply = await call(declared, "/weather", headers={"Authorization": f"Bearer {OTHER}"})
            return reply.status_code == 200

        await until(let_in, "the rule's key")
        await heard_of(service, OTHER_ID)
