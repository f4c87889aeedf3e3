"""Limits above queues, claims, suspension over the REST API: kept as declared, refused where they clash."""

from typing import Any
from uuid import UUID

import httpx

from controlplane.store.store import Store
from tests.fixtures.specs import document, member, queue
from tests.integration.api.test_access import signed

# Any: JSON.

HOUR = {"tokens": 100, "per": "1h"}


async def applied(api: httpx.AsyncClient, values: dict[str, Any]) -> dict[str, Any]:
    reply = await api.post("/api/v1/apply", json=values)
    assert reply.status_code == 200, reply.text
    done: dict[str, Any] = reply.json()
    return done


async def refused(api: httpx.AsyncClient, kind: str, name: str, value: dict[str, Any]) -> list[str]:
    reply = await api.put(f"/api/v1/{kind}/{name}", json=value)
    assert reply.status_code == 422, reply.text
    return [item["field"] for item in reply.json()["errors"]]


async def a_stock_gateway(api: httpx.AsyncClient, store: Store, **parts: Any) -> dict[str, Any]:
    """The declaration of a gateway that has said that it has no plugin of ours."""
    gateway = {"name": "edge", "admin_url": "http://127.0.0.1:1", **parts}
    made = await api.post("/api/v1/gateways", json=gateway)
    async with store.database.connection() as connection:
        await connection.execute(
            "INSERT INTO gateway_state (gateway_id, state, applied_revision, writes, leader, plugins) "
            "VALUES ($1, 'pending', 0, 0, '', '[]')",
            UUID(made.json()["id"]),
        )
    return gateway


async def test_what_is_declared_above_queues_is_kept_and_applied_again_changes_nothing(
    api: httpx.AsyncClient,
) -> None:
    tenant = {"name": "acme", "suspended": True, "limits": [HOUR, {**HOUR, "by": "team"}]}
    key = {
        "name": "web",
        "tenant": "acme",
        "queues": ["support"],
        "claims": {"team": "red"},
        "limits": [HOUR],
    }
    values = document(tenants=[tenant], queues=[queue(tenant="acme")], keys=[key])
    await applied(api, values)
    shown = (await api.get("/api/v1/tenants/acme")).json()
    assert (shown["suspended"], shown["limits"][1]["by"]) == (True, "team")
    assert (await api.get("/api/v1/keys/web")).json()["claims"]["team"] == "red"
    assert (await applied(api, values))["changes"] == []


async def test_a_limit_above_that_no_gateway_counts_is_refused_where_it_is_declared(
    api: httpx.AsyncClient,
) -> None:
    await applied(api, document(tenants=[{"name": "acme"}], keys=[{"name": "web"}]))
    few = [{"requests": 5, "per": "1m"}]
    assert await refused(api, "tenants", "acme", {"name": "acme", "limits": few}) == ["limits[0].requests"]
    assert await refused(api, "keys", "web", {"name": "web", "limits": few}) == ["limits[0].requests"]


async def test_a_provider_s_new_limit_is_refused_for_a_queue_that_would_slip_past_it(
    api: httpx.AsyncClient, store: Store
) -> None:
    await a_stock_gateway(api, store)
    providers = [{"name": "openai-main", "type": "openai"}, {"name": "deep", "type": "deepseek"}]
    members = [member(), member(name="spare", provider="deep")]
    await applied(api, document(providers=providers, queues=[queue(members=members)]))
    limited = {"name": "openai-main", "type": "openai", "limits": [HOUR]}
    assert await refused(api, "providers", "openai-main", limited) == ["queues.support.members[0].provider"]


async def test_a_gateway_s_own_limits_are_kept_and_refused_like_others(api: httpx.AsyncClient) -> None:
    gateway = {"name": "edge", "admin_url": "http://127.0.0.1:1", "enabled": False}
    assert (await api.post("/api/v1/gateways", json=gateway)).status_code == 201
    limited = {**gateway, "limits": [HOUR], "tiers": {"pro": [{**HOUR, "by": "team"}]}}
    assert (await api.put("/api/v1/gateways/edge", json=limited)).status_code == 200
    shown = (await api.get("/api/v1/gateways/edge")).json()
    assert (shown["limits"][0]["tokens"], shown["tiers"]["pro"][0]["by"]) == (100, "team")
    refusals = await refused(
        api, "gateways", "edge", {**gateway, "tiers": {"pro": [{"usd": 1, "per": "1d"}]}}
    )
    assert refusals == ["tiers.pro[0].usd"]


async def test_a_gateway_s_limit_is_refused_for_a_queue_that_it_could_not_hold_beside_it(
    api: httpx.AsyncClient, store: Store
) -> None:
    gateway = await a_stock_gateway(api, store, enabled=False)
    await applied(api, document(queues=[queue(members=[member(limits=[HOUR])])]))
    fields = await refused(api, "gateways", "edge", {**gateway, "limits": [HOUR]})
    assert fields == ["queues.support.members[0].limits[0].tokens"]


async def test_where_a_queue_s_limits_are_held_includes_those_above_it(api: httpx.AsyncClient) -> None:
    tenants = [{"name": "acme", "limits": [{**HOUR, "by": "team"}]}]
    queues = [queue(tenant="acme", members=[member(limits=[HOUR])])]
    await applied(api, document(tenants=tenants, queues=queues))
    lines = (await api.get("/api/v1/queues/support/enforcement")).json()["items"]
    assert [(line["path"], line["mechanism"]) for line in lines] == [
        ("members[0].limits[0]", "token-budget limit"),
        ("tenants.acme.limits[0]", "ai-rate-limiting rule"),
    ]


async def test_where_a_queue_s_limits_are_held_includes_the_accounts_of_its_members(
    api: httpx.AsyncClient,
) -> None:
    providers = [
        {"name": "openai-main", "type": "openai", "limits": [HOUR]},
        {"name": "deep", "type": "deepseek"},
    ]
    members = [member(), member(name="spare", provider="deep")]
    await applied(api, document(providers=providers, queues=[queue(members=members)]))
    (line,) = (await api.get("/api/v1/queues/support/enforcement")).json()["items"]
    assert (line["path"], line["mechanism"]) == ("providers.openai-main.limits[0]", "token-budget limit")
    assert line["shared_with"].endswith("of this queue the calls to main")


async def test_a_tenant_s_people_are_not_told_whose_teams_the_platform_singles_out(
    api: httpx.AsyncClient,
) -> None:
    limits = [{**HOUR, "by": "team"}, {**HOUR, "by": "team", "value": "rivals-secret-team"}]
    tenants, providers = [{"name": "acme"}], [{"name": "openai-main", "type": "openai", "shared": True}]
    tiers = [{"name": "everything", "limits": limits}]
    queues = [queue(tenant="acme")]
    await applied(api, document(tiers=tiers, tenants=tenants, providers=providers, queues=queues))
    address, own = "/api/v1/queues/support/enforcement", {"queues": [queue(timeout_s=5)]}
    assert "rivals-secret-team" in (await api.get(address)).text
    async with signed(api, role="editor", tenant="acme") as editor:
        for reply in (await editor.get(address), await editor.post("/api/v1/plan", json=own)):
            assert reply.status_code == 200, reply.text
            assert "rivals-secret-team" not in reply.text
        assert [line["path"] for line in (await editor.get(address)).json()["items"]] == [
            "tiers.everything.limits[0]"
        ]
