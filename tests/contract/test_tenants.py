"""What a tenant owns answers under its own subdomain, to its own keys, and to nobody else."""

from typing import Any

from tests.contract.declared import CHAT, HELLO, OTHER, WEB, Declared, unique
from tests.fixtures.services import until
from tests.fixtures.specs import BASE_DOMAIN

# Any: declarations.

RIVAL_CHAT = "/queues/rival/v1/chat/completions"
PLAIN = "/v1/chat/completions"


def host(name: str) -> dict[str, str]:
    return {"Host": f"{name}.{BASE_DOMAIN}"}


async def two_tenants(declared: Declared) -> None:
    tenants = [{"name": name, "subdomain": name} for name in ("acme", "rival")]
    keys: list[dict[str, Any]] = [
        {"name": "web", "tenant": "acme", "queues": ["support"]},
        {"name": "other", "tenant": "rival", "queues": ["rival"]},
    ]
    queues = [unique([], tenant="acme"), unique([], name="rival", tenant="rival")]
    await declared.declare(*queues, tenants=tenants, keys=keys)

    async def both() -> bool:
        mine = await declared.call(CHAT, **host("acme"))
        return (mine.status_code, await code(declared, RIVAL_CHAT, OTHER, "rival")) == (200, 200)

    await until(both, "both tenants' queues")


async def code(declared: Declared, path: str, key: str, name: str, model: str | None = None) -> int:
    body = HELLO if model is None else {**HELLO, "model": model}
    return (await declared.call(path, body, key=key, **host(name))).status_code


async def test_a_tenant_s_queue_answers_under_its_own_host_alone(declared: Declared) -> None:
    await two_tenants(declared)
    assert await code(declared, CHAT, WEB, "rival") == 404
    assert await code(declared, CHAT, WEB, "other") == 404
    assert (await declared.call(CHAT)).status_code == 404
    assert await code(declared, PLAIN, WEB, "acme", "support") == 200
    assert await code(declared, PLAIN, WEB, "rival", "support") == 404


async def test_another_tenant_s_key_opens_nothing_whatever_host_it_names(declared: Declared) -> None:
    await two_tenants(declared)
    assert await code(declared, CHAT, OTHER, "acme") == 403
    assert await code(declared, PLAIN, OTHER, "acme", "support") == 403
    assert await code(declared, RIVAL_CHAT, WEB, "rival") == 403
    assert await code(declared, RIVAL_CHAT, WEB, "acme") == 404


async def test_a_host_is_known_in_capitals_and_with_its_port(declared: Declared) -> None:
    await two_tenants(declared)
    reply = await declared.call(CHAT, Host=f"ACME.{BASE_DOMAIN}:9080".replace("sluice", "Sluice"))
    assert reply.status_code == 200
