"""Forwarding rules are declared as everything else is: over REST, in files, by whom they belong to."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from tests.fixtures.services import client
from tests.integration.rules.conftest import Ruled

# Any: declarations and JSON.

RULE: dict[str, Any] = {"name": "weather", "path": "/weather", "target": "https://weather.example/v2"}


@asynccontextmanager
async def editor(api: httpx.AsyncClient, tenant: str) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who edits one tenant's things."""
    account = {"name": f"{tenant}-editor", "role": "editor", "tenant": tenant}
    (await api.post("/api/v1/accounts", json=account)).raise_for_status()
    made = await api.post(f"/api/v1/accounts/{tenant}-editor/tokens", json={"label": "test"})
    async with client(str(api.base_url)) as own:
        own.headers["Authorization"] = f"Bearer {made.json()['text']}"
        yield own


@pytest.fixture
async def tenants(api: httpx.AsyncClient) -> None:
    for name in ("acme", "rival"):
        (await api.post("/api/v1/tenants", json={"name": name, "subdomain": name})).raise_for_status()
    (await api.post("/api/v1/tenants", json={"name": "homeless"})).raise_for_status()


def errors(reply: httpx.Response) -> dict[str, str]:
    assert reply.status_code == 422, reply.text
    return {item["field"]: item["message"] for item in reply.json()["errors"]}


async def test_a_rule_is_made_read_changed_and_removed(api: httpx.AsyncClient) -> None:
    made = await api.post("/api/v1/rules", json={**RULE, "api_key": "Bearer canary-7731"})
    assert (made.status_code, made.json()["match"], made.json()["api_key"]) == (201, "prefix", "***")
    changed = await api.patch(
        "/api/v1/rules/weather", json={"retries": 2}, headers={"If-Match": made.headers["etag"]}
    )
    assert (changed.status_code, changed.json()["retries"], changed.json()["api_key"]) == (200, 2, "***")
    listed = (await api.get("/api/v1/rules?name_prefix=wea")).json()["items"]
    assert [item["name"] for item in listed] == ["weather"]
    key = await api.post("/api/v1/keys", json={"name": "web", "rules": ["weather"]})
    assert key.json()["rules"] == ["weather"]
    assert (await api.delete("/api/v1/rules/weather")).status_code == 409
    assert (await api.delete("/api/v1/keys/web")).status_code == 204
    assert (await api.delete("/api/v1/rules/weather")).status_code == 204
    audit = (await api.get("/api/v1/audit")).text
    assert "rule" in audit
    assert "canary-7731" not in audit


async def test_two_rules_never_answer_the_same_calls(api: httpx.AsyncClient) -> None:
    assert (await api.post("/api/v1/rules", json={**RULE, "methods": ["GET"]})).status_code == 201
    other = {**RULE, "name": "a-other"}
    assert "already" in errors(await api.post("/api/v1/rules", json=other))["rules.a-other.path"[-4:]]
    assert (await api.post("/api/v1/rules", json={**other, "methods": ["POST"]})).status_code == 201
    assert (
        await api.post("/api/v1/rules", json={**RULE, "name": "c", "hosts": ["c.example"]})
    ).status_code == 201


async def test_what_no_gateway_would_enforce_is_refused_with_its_field(api: httpx.AsyncClient) -> None:
    limits = [{"tokens": 5, "per": "1m"}, {"requests": 5, "per": "day"}, {"concurrency": 1, "by": "tenant"}]
    assert set(errors(await api.post("/api/v1/rules", json={**RULE, "limits": limits}))) == {
        "limits[0].tokens",
        "limits[1].per",
        "limits[2].by",
    }
    chain = [
        {"name": "rate_limiter", "priority": 1, "settings": {"limit": 1, "window": "1m"}},
        {"name": "security_validator", "priority": 2, "settings": {"required_headers": ["x-a"]}},
    ]
    assert list(errors(await api.post("/api/v1/rules", json={**RULE, "plugins": chain}))) == [
        "plugins[1].priority"
    ]


async def test_a_document_with_rules_is_applied_exported_and_rolled_back(api: httpx.AsyncClient) -> None:
    keys = [{"name": "web", "rules": ["weather"]}]
    document = {"source": "team", "rules": [RULE], "keys": keys}
    first = await api.post("/api/v1/apply", json=document)
    assert first.status_code == 200, first.text
    assert [change["kind"] for change in first.json()["changes"]] == ["rule", "key"]
    again = await api.post("/api/v1/apply", json=document)
    assert again.json()["changes"] == []
    exported = (await api.get("/api/v1/export")).json()["documents"][0]
    assert exported["rules"] == [RULE]
    moved = {**document, "rules": [{**RULE, "target": "https://elsewhere.example"}]}
    planned = (await api.post("/api/v1/plan", json=moved)).json()
    assert "elsewhere.example" in str(planned)
    (await api.post("/api/v1/apply", json=moved)).raise_for_status()
    other = {"source": "team", "rules": [{**RULE, "name": "other", "path": "/other"}]}
    gone = await api.post("/api/v1/apply?prune=true&allow_mass_delete=true", json=other)
    assert gone.status_code == 200, gone.text
    assert [change["action"] for change in gone.json()["changes"]] == ["create", "delete", "delete"]
    back = await api.post(f"/api/v1/revisions/{first.json()['revision']}/rollback", json={})
    assert back.status_code == 200, back.text
    assert (await api.get("/api/v1/rules/weather")).json()["target"] == RULE["target"]
    assert (await api.get("/api/v1/keys/web")).json()["rules"] == ["weather"]


@pytest.mark.usefixtures("tenants")
async def test_a_tenant_s_editor_sees_and_changes_its_own_rules_alone(api: httpx.AsyncClient) -> None:
    theirs = {**RULE, "name": "theirs", "tenant": "rival"}
    assert (await api.post("/api/v1/rules", json=theirs)).status_code == 201
    async with editor(api, "acme") as own:
        made = await own.post("/api/v1/rules", json=RULE)
        assert (made.status_code, made.json()["tenant"]) == (201, "acme")
        assert [item["name"] for item in (await own.get("/api/v1/rules")).json()["items"]] == ["weather"]
        assert (await own.get("/api/v1/rules/theirs")).status_code == 404
        assert (await own.patch("/api/v1/rules/theirs", json={})).status_code == 404
        assert (await own.delete("/api/v1/rules/theirs")).status_code == 404
        assert "tenant" in errors(
            await own.post("/api/v1/rules", json={**RULE, "name": "x", "tenant": "rival"})
        )
        assert "rules[0]" in errors(await own.post("/api/v1/keys", json={"name": "k", "rules": ["theirs"]}))
        assert "hosts" in errors(
            await own.post("/api/v1/rules", json={**RULE, "name": "x", "hosts": ["a.b"]})
        )


@pytest.mark.usefixtures("tenants")
async def test_a_tenant_s_rule_without_a_subdomain_is_refused_in_plans_as_in_writes(
    api: httpx.AsyncClient,
) -> None:
    async with editor(api, "homeless") as own:
        assert "tenant" in errors(await own.post("/api/v1/rules", json=RULE))
        document = {"source": "theirs", "rules": [RULE]}
        for path in ("plan", "apply"):
            reply = await own.post(f"/api/v1/{path}", json=document)
            assert reply.status_code == 422
            (problem,) = reply.json()["errors"]
            assert problem["field"].endswith("tenant")
            assert problem["remedy"] == "ask the platform's people for a subdomain"
    async with editor(api, "acme") as own:
        assert (await own.post("/api/v1/plan", json={"source": "theirs", "rules": [RULE]})).status_code == 200


async def test_a_plan_tells_how_each_limit_of_a_rule_is_held_and_so_does_the_rule(ruled: Ruled) -> None:
    chain = [{"name": "rate_limiter", "settings": {"limit": 5, "window": "1m"}}]
    rule = {**RULE, "limits": [{"concurrency": 3}], "plugins": chain}
    async with ruled.world.api() as api:
        plan = (await api.post("/api/v1/plan", json={"source": "team", "rules": [rule]})).json()
        await ruled.declare(rules=[rule])
        lines = (await api.get("/api/v1/rules/weather/enforcement")).json()["items"]
        assert (await api.get("/api/v1/rules/other/enforcement")).status_code == 404
    assert [(line["rule"], line["path"], line["mechanism"]) for line in lines] == [
        ("weather", "plugins[0]", "limit-count rule"),
        ("weather", "limits[0]", "limit-conn rule"),
    ]
    assert plan["enforcement"] == lines


@pytest.mark.usefixtures("tenants")
@pytest.mark.parametrize(
    "target",
    [
        "http://169.254.169.254/latest",
        "http://127.0.0.1:8400",
        "http://[::1]/",
        "http://[::ffff:169.254.169.254]/",
        "http://[64:ff9b::a9fe:a9fe]/",
        "http://LOCALHOST/x",
        "http://api.localhost",
        "http://metadata.google.internal",
    ],
)
async def test_a_tenant_s_editor_may_not_send_calls_to_the_machine_itself(
    api: httpx.AsyncClient, target: str
) -> None:
    validator = {"name": "external_validator", "settings": {"url": target}}
    async with editor(api, "acme") as own:
        assert "target" in errors(await own.post("/api/v1/rules", json={**RULE, "target": target}))
        found = errors(await own.post("/api/v1/rules", json={**RULE, "plugins": [validator]}))
        assert "plugins[0].settings.url" in found
        provider = {"name": "p", "type": "openai", "endpoint": target}
        assert "endpoint" in errors(await own.post("/api/v1/providers", json=provider))
    assert (await api.post("/api/v1/rules", json={**RULE, "target": target})).status_code == 201


@pytest.mark.parametrize(
    "target", ["http://2130706433/", "http://0x7f.1/", "http://127.1", "http://0177.0.0.1"]
)
async def test_an_address_in_an_unusual_writing_is_refused_to_everybody(
    api: httpx.AsyncClient, target: str
) -> None:
    assert "target" in errors(await api.post("/api/v1/rules", json={**RULE, "target": target}))
