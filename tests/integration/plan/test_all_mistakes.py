"""What is sent over REST with mistakes is answered with all of them, references included."""

from typing import Any

import httpx
import pytest

from tests.fixtures.worlds import Ctl, World
from tests.integration.api.test_access import signed, two_tenants
from tests.integration.plan.conftest import declared

MEMBERS = [
    {"name": "main", "provider": "mok", "weight": 0},
    {"name": "main", "provider": "spare", "weight": -1},
]
QUEUE = {
    "name": "other",
    "members": MEMBERS,
    "access": "open",
    "hash_on": "x-user",
    "timeout_s": "60",
    "lables": {},
    "limits": [{"tokens": 10, "per": "1m", "by": "key"}, {"tokens": 0, "usd": 1.0, "per": "1m"}],
    "guards": {"allow_ips": ["10.0.0.1"], "deny_ips": ["10.0.0.2"]},
}
IN_THE_QUEUE = {
    "members[0].provider": "did you mean mock?",
    "members[1]": "give each its own name",
    "members[1].weight": "write a greater number",
    "hash_on": "change it so that this holds",
    "timeout_s": "write it without quotes",
    "lables": "did you mean labels?",
    "limits[0].by": "change it so that this holds",
    "limits[1].tokens": "write a greater number",
    "guards.deny_ips": "remove one of the two",
}


@pytest.fixture
async def api(world: World, ctl: Ctl) -> httpx.AsyncClient:
    """The administrator, with whom a provider `mock` is declared."""
    async with world.api() as api:
        (await api.post("/api/v1/apply", json=declared())).raise_for_status()
    return world.api()


def errors(reply: httpx.Response) -> dict[str, str]:
    """What a refusal says to do about each field."""
    assert reply.status_code == 422, reply.text
    found: list[dict[str, Any]] = reply.json()["errors"]
    assert len({item["field"] for item in found}) == len(found)
    return {item["field"]: item["remedy"] for item in found}


@pytest.mark.parametrize("way", ["plan", "apply", "apply?dry_run=true"])
async def test_of_a_document(api: httpx.AsyncClient, way: str) -> None:
    document = {
        "queues": [QUEUE],
        "providers": [{"name": "spare", "type": "bedrock", "models": [{"name": "m"}, {"name": "m"}]}],
        "keys": [{"name": "one", "queues": ["support", "othr"]}, {"name": "one", "expires_at": "soon"}],
        "sauce": "team",
    }
    async with api:
        found = errors(await api.post(f"/api/v1/{way}", json=document))
    assert found == {
        **{f"queues.other.{field}": remedy for field, remedy in IN_THE_QUEUE.items()},
        "providers.spare.region": "change it so that this holds",
        "providers.spare.models[1]": "give each its own name",
        "keys.one.queues[1]": "did you mean other?",
        "keys.one.expires_at": "write a time such as 2030-01-31T12:00:00Z",
        "keys[1]": "give each its own name",
        "sauce": "did you mean source?",
    }


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_of_one_object(api: httpx.AsyncClient, method: str) -> None:
    path = "/api/v1/queues" + ("/support" if method == "PUT" else "")
    async with api:
        found = errors(await api.request(method, path, json=QUEUE))
    assert found == {**IN_THE_QUEUE, "members[1].provider": "declare the provider first, or correct the name"}


async def test_of_what_a_tenants_people_declare_nothing_of_others_is_told(api: httpx.AsyncClient) -> None:
    async with api:
        await two_tenants(api)
        async with signed(api, tenant="acme", role="editor") as acme:
            document = {"keys": [{"name": "k", "queues": ["rival-queue"], "expires_at": "soon"}]}
            found = errors(await acme.post("/api/v1/plan", json=document))
    assert found == {
        "keys.k.queues[0]": "did you mean acme-queue?",
        "keys.k.expires_at": "write a time such as 2030-01-31T12:00:00Z",
    }
