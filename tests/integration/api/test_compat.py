"""Older request shapes become what is declared today."""

from typing import Any

import httpx
import pytest

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


async def test_a_budget_of_everybody_is_a_limit_of_every_gateway(api: httpx.AsyncClient) -> None:
    for name in ("east", "west"):
        values = {"name": name, "admin_url": "http://127.0.0.1:1", "enabled": False}
        (await api.post("/api/v1/gateways", json=values)).raise_for_status()
    budget = {"scope": "global", "id": "everybody", "capacity": 10_000, "refillPerSec": 50}
    reply = await api.post("/config/budget", json=budget)
    assert reply.status_code == 200, reply.text
    for name in ("east", "west"):
        (limit,) = (await api.get(f"/api/v1/gateways/{name}")).json()["limits"]
        assert (limit["tokens"], limit["per"]) == (10_000, "200s")


async def test_a_budget_of_each_user_takes_the_place_of_the_one_before(
    api: httpx.AsyncClient, made: dict[str, Any]
) -> None:
    daily = {"tokens": 1_000_000, "per": "1d"}
    await api.patch("/api/v1/tenants/test-company", json={"limits": [daily]})
    for capacity in (1000, 2000):
        budget = {"scope": "user", "id": "*", "tenant": "test-company", "capacity": capacity}
        reply = await api.post("/config/budget", json={**budget, "refillPerSec": 5})
        assert reply.status_code == 200, reply.text
    limits = (await api.get("/api/v1/tenants/test-company")).json()["limits"]
    assert [(limit["tokens"], limit["by"], limit["per"]) for limit in limits] == [
        (1_000_000, None, "1d"),
        (2000, "user", "400s"),
    ]


@pytest.mark.parametrize(
    ("budget", "field"),
    [
        ({"scope": "team", "id": "data-science", "tenant": "test-company"}, "id"),
        ({"scope": "team", "id": "*"}, "tenant"),
        ({"scope": "planet"}, "scope"),
    ],
)
async def test_a_budget_that_cannot_be_held_is_refused_with_the_reason(
    api: httpx.AsyncClient, made: dict[str, Any], budget: dict[str, Any], field: str
) -> None:
    reply = await api.post("/config/budget", json={**budget, "capacity": 5000, "refillPerSec": 25})
    assert reply.status_code == 422
    assert reply.json()["errors"][0]["field"] == field
