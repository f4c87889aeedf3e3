"""A tenant's own people plan and apply what is theirs, and learn nothing of the others."""

import httpx
import pytest

from tests.fixtures.worlds import Ctl, World
from tests.integration.api.test_access import signed, two_tenants

QUEUE = {"members": [{"name": "main", "provider": "openai-main", "model": "m"}]}


@pytest.fixture
async def api(world: World, ctl: Ctl) -> httpx.AsyncClient:
    """The administrator."""
    return world.api()


async def test_a_tenants_plan_is_of_the_tenants_things_alone(api: httpx.AsyncClient, world: World) -> None:
    async with api:
        await two_tenants(api)
        async with signed(api, tenant="acme", role="editor") as acme:
            document = {"source": "acme", "queues": [{"name": "mine", **QUEUE}]}
            plan = (await acme.post("/api/v1/plan", json=document)).json()
            assert [change["name"] for change in plan["changes"]] == ["mine"]
            assert plan["changes"][0]["fields"][0] == {
                "field": "tenant",
                "before": "(absent)",
                "after": '"acme"',
            }
            assert "rival" not in str(plan)
            stamp = plan["fingerprint"]
            reply = await acme.post(f"/api/v1/apply?fingerprint={stamp}&prune=true", json=document)
            assert reply.status_code == 412, "the plan was made without a prune"
            reply = await acme.post(f"/api/v1/apply?fingerprint={stamp}", json=document)
            assert reply.is_success, reply.text
            assert (await acme.post("/api/v1/plan", json=document)).json()["changes"] == []
            assert "rival" not in (await acme.get("/api/v1/drift")).text
            held = (await acme.get("/api/v1/gateways/edge/objects")).text
            assert "rival" not in held


async def test_a_tenants_prune_removes_what_is_the_tenants_alone(
    api: httpx.AsyncClient, world: World
) -> None:
    async with api:
        await two_tenants(api)
        everything = (await api.get("/api/v1/queues")).json()["items"]
        source = everything[0]["source"]
        async with signed(api, tenant="acme", role="editor") as acme:
            document = {"source": source, "queues": [{"name": "mine", **QUEUE}]}
            plan = (await acme.post("/api/v1/plan?prune=true", json=document)).json()
            removed = {(item["kind"], item["name"]) for item in plan["changes"] if item["action"] == "delete"}
            own = (await acme.get("/api/v1/queues")).json()["items"]
            assert {("queue", item["name"]) for item in own} <= removed
            assert "rival" not in str(plan)
            (await acme.post("/api/v1/apply?prune=true", json=document)).raise_for_status()
        names = {item["name"] for item in (await api.get("/api/v1/queues")).json()["items"]}
        gone = {item["name"] for item in own}
        assert names == ({item["name"] for item in everything} - gone) | {"mine"}


async def test_a_name_of_somebody_elses_is_taken(api: httpx.AsyncClient, world: World) -> None:
    async with api:
        await two_tenants(api)
        async with signed(api, tenant="acme", role="editor") as acme:
            own = {item["name"] for item in (await acme.get("/api/v1/queues")).json()["items"]}
            others = [
                item["name"]
                for item in (await api.get("/api/v1/queues")).json()["items"]
                if item["name"] not in own
            ]
            document = {"source": "acme", "queues": [{"name": others[0], **QUEUE}]}
            assert (await acme.post("/api/v1/plan", json=document)).status_code == 409
