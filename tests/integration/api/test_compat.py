"""Older request shapes become what is declared today."""

from typing import Any
from uuid import UUID

import httpx
import pytest

from controlplane.store.store import Store
from tests.integration.api.test_access import signed

# Any: JSON.

SECURITY = {
    "name": "security_validator",
    "enabled": True,
    "priority": 1,
    "stage": "pre_request",
    "settings": {"required_headers": ["X-Request-ID"]},
}
TENANT: dict[str, Any] = {
    "name": "Test Company",
    "subdomain": "testcompany",
    "tier": "pro",
    "enabled_plugins": ["rate_limiter"],
    "required_plugins": {"security_validator": SECURITY},
}
RULE: dict[str, Any] = {
    "path": "/weather/today",
    "target": "https://weather.example",
    "methods": ["POST"],
    "strip_path": True,
    "plugin_chain": [
        {
            "name": "rate_limiter",
            "enabled": True,
            "parallel": False,
            "priority": 1,
            "stage": "pre_request",
            "settings": {"limit": 100, "window": "1m"},
        }
    ],
}


@pytest.fixture
async def made(api: httpx.AsyncClient) -> dict[str, Any]:
    reply = await api.post("/api/v1/tenants", json=TENANT)
    assert reply.status_code == 201, reply.text
    shown: dict[str, Any] = reply.json()
    return shown


async def test_a_tenant_comes_with_its_first_key(api: httpx.AsyncClient, made: dict[str, Any]) -> None:
    assert made["api_key"].startswith("sk-sluice-")
    tenant = (await api.get("/api/v1/tenants/test-company")).json()
    assert tenant == made["tenant"]
    assert (tenant["subdomain"], tenant["tier"]) == ("testcompany", "pro")
    assert tenant["required_plugins"][0]["settings"]["required_headers"] == ["x-request-id"]
    assert (await api.get("/api/v1/keys/test-company-first")).json()["tenant"] == "test-company"
    assert (await api.post("/api/v1/tenants", json=TENANT)).status_code == 409


async def test_a_rule_is_forwarded_for_every_key_of_the_tenant(
    api: httpx.AsyncClient, made: dict[str, Any]
) -> None:
    address = f"/api/v1/tenants/{made['tenant']['id']}/rules"
    rule = (await api.post(address, json=RULE)).json()
    assert (rule["name"], rule["tenant"], rule["access"]) == (
        "test-company-weather-today",
        "test-company",
        "tenant",
    )
    assert rule["plugins"][0]["settings"]["limit"] == 100
    wrong = {**RULE, "path": "/x", "plugin_chain": [{"name": "rate_limiter", "settings": {"limit": 0}}]}
    assert (await api.post(address, json=wrong)).status_code == 422
    assert (await api.post("/api/v1/tenants/nobody/rules", json=RULE)).status_code == 404


async def test_a_key_of_an_application_declares_nothing(api: httpx.AsyncClient, made: dict[str, Any]) -> None:
    headers = {"Authorization": f"Bearer {made['api_key']}"}
    reply = await api.post("/api/v1/tenants/test-company/rules", json=RULE, headers=headers)
    assert reply.status_code == 401


async def test_a_tenants_editor_declares_rules_of_that_tenant_alone(
    api: httpx.AsyncClient, made: dict[str, Any]
) -> None:
    await api.post("/api/v1/tenants", json={"name": "rival"})
    async with signed(api, role="editor", tenant="test-company") as editor:
        assert (await editor.post("/api/v1/tenants/test-company/rules", json=RULE)).status_code == 201
        assert (await editor.post("/api/v1/tenants/rival/rules", json=RULE)).status_code == 404
        assert (await editor.post("/api/v1/tenants", json=TENANT)).status_code == 403
        budget = {"scope": "global", "capacity": 5, "refillPerSec": 1}
        assert (await editor.post("/config/budget", json=budget)).status_code == 403


async def limits_of(api: httpx.AsyncClient, address: str) -> list[dict[str, Any]]:
    """The limits as somebody would write them."""
    shown = (await api.get(f"/api/v1/{address}")).json()["limits"]
    left_out = {"then": "reject", "mode": "fixed", "strict": False, "time_zone": "UTC"}
    return [{n: v for n, v in limit.items() if v not in (None, left_out.get(n))} for limit in shown]


async def budgeted(api: httpx.AsyncClient, **budget: Any) -> httpx.Response:
    return await api.post("/config/budget", json={"capacity": 5000, "refillPerSec": 25, **budget})


BUCKET = {"tokens": 5000, "refill_per_s": 25}


async def test_a_budget_of_everybody_is_a_bucket_of_the_tier_of_everything(api: httpx.AsyncClient) -> None:
    day = {"tokens": 50_000_000, "per": "1d"}
    (await api.post("/api/v1/tiers", json={"name": "everything", "limits": [day]})).raise_for_status()
    for capacity in (10_000, 5000):
        reply = await budgeted(api, scope="global", id="everybody", capacity=capacity)
        assert reply.status_code == 200, reply.text
    assert await limits_of(api, "tiers/everything") == [day, BUCKET]


@pytest.mark.parametrize("scope", ["team", "rolegroup", "role", "user"])
async def test_a_budget_of_a_single_one_needs_nothing_else_to_be_declared(
    api: httpx.AsyncClient, scope: str
) -> None:
    reply = await budgeted(api, scope=scope, id="data-science")
    assert reply.status_code == 200, reply.text
    assert list(reply.json()["limits"]) == ["tier everything"]
    assert await limits_of(api, "tiers/everything") == [{**BUCKET, "by": scope, "value": "data-science"}]


async def test_a_budget_takes_the_place_of_the_one_before_and_of_no_other(
    api: httpx.AsyncClient, made: dict[str, Any]
) -> None:
    daily = {"tokens": 1_000_000, "per": "1d"}
    await api.patch("/api/v1/tenants/test-company", json={"limits": [daily]})
    for budget in (
        {"scope": "user", "id": "*", "capacity": 1000},
        {"scope": "user", "id": "ann"},
        {"scope": "user", "id": "*", "capacity": 2000},
        {"scope": "team", "id": "*", "refillPerSec": None, "per": "200s"},
    ):
        reply = await budgeted(api, tenant="test-company", **budget)
        assert reply.status_code == 200, reply.text
    assert await limits_of(api, "tenants/test-company") == [
        daily,
        {**BUCKET, "by": "user", "value": "ann"},
        {**BUCKET, "tokens": 2000, "by": "user"},
        {"tokens": 5000, "per": "200s", "by": "team"},
    ]


async def test_a_tenant_keeps_what_its_tier_gives_beside_a_budget_of_its_own(api: httpx.AsyncClient) -> None:
    hour = {"tokens": 900, "per": "1h"}
    (await api.post("/api/v1/tiers", json={"name": "pro", "limits": [hour]})).raise_for_status()
    (await api.post("/api/v1/tenants", json={"name": "acme", "tier": "pro"})).raise_for_status()
    assert (await budgeted(api, scope="team", id="red", tenant="acme")).status_code == 200
    assert await limits_of(api, "tenants/acme") == [hour, {**BUCKET, "by": "team", "value": "red"}]


@pytest.mark.parametrize(
    ("budget", "field"),
    [
        ({"scope": "planet"}, "scope"),
        ({"scope": "team", "id": "two words"}, "id"),
        ({"scope": "global", "tenant": "test-company"}, "tenant"),
        ({"scope": "user", "per": "1m"}, "refillPerSec"),
        ({"scope": "user", "capacity": 0}, "capacity"),
    ],
)
async def test_a_budget_that_cannot_be_held_is_refused_with_the_reason(
    api: httpx.AsyncClient, made: dict[str, Any], budget: dict[str, Any], field: str
) -> None:
    reply = await budgeted(api, **budget)
    assert reply.status_code == 422
    assert reply.json()["errors"][0]["field"] == field
    assert (await budgeted(api, scope="team", tenant="nobody")).status_code == 404


async def test_where_no_gateway_has_buckets_the_refusal_names_the_window_to_send(
    api: httpx.AsyncClient, store: Store
) -> None:
    gateway = {"name": "edge", "admin_url": "http://127.0.0.1:1"}
    made = (await api.post("/api/v1/gateways", json=gateway)).json()
    async with store.database.connection() as connection:
        await connection.execute(
            "INSERT INTO gateway_state (gateway_id, state, applied_revision, writes, leader, plugins) "
            "VALUES ($1, 'pending', 0, 0, '', '[]')",
            UUID(made["id"]),
        )
    reply = await budgeted(api, scope="team", id="data-science")
    assert reply.status_code == 422
    assert "per: 200s" in reply.text
    windowed = await budgeted(api, scope="team", id="data-science", refillPerSec=None, per="200s")
    assert windowed.status_code == 200, windowed.text
