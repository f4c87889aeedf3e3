"""Who may do what: roles, tenants, tokens and sessions."""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from litestar.routes import HTTPRoute

from controlplane.api.access import needed
from controlplane.app import create_app
from controlplane.core.access import RULES, Permission, Role
from controlplane.settings import Settings
from controlplane.store.store import Store
from tests.fixtures.services import TOKEN, client

OPEN = {"/health/live", "/health/ready", "/api/openapi.json", "/auth/oidc", "/auth/oidc/callback"} | {
    # For gateways, which prove themselves with a token of the rule, or of their own.
    "/internal/gateways/{gateway}/uses",
    "/internal/rules/{rule}/finished",
    "/internal/rules/{rule}/validate",
}
PROVIDER = {"name": "openai-main", "type": "openai", "api_key": "sk-canary-5b1d"}
MEMBERS = [{"name": "main", "provider": "openai-main", "model": "gpt-4o-mini"}]


@asynccontextmanager
async def signed(api: httpx.AsyncClient, **account: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client with a token of an account of its own."""
    name = account.setdefault("name", f"{account.get('tenant', 'all')}-{account['role']}")
    (await api.post("/api/v1/accounts", json=account)).raise_for_status()
    made = await api.post(f"/api/v1/accounts/{name}/tokens", json={"label": "test"})
    headers = {"Authorization": f"Bearer {made.json()['text']}"}
    async with httpx.AsyncClient(base_url=api.base_url, headers=headers, timeout=60) as opened:
        yield opened


async def declare(api: httpx.AsyncClient, **sections: Any) -> None:
    (await api.post("/api/v1/apply", json={"version": 1, **sections})).raise_for_status()


async def two_tenants(api: httpx.AsyncClient) -> None:
    """acme and rival, each with a tier, a provider, a queue and a key; a rule, a provider for all."""
    await declare(
        api,
        tiers=[{"name": "small"}, {"name": "rival-tier"}],
        tenants=[{"name": "acme", "tier": "small"}, {"name": "rival", "tier": "rival-tier"}],
        providers=[
            {**PROVIDER, "shared": True},
            {**PROVIDER, "name": "platform-only"},
            {**PROVIDER, "name": "acme-own", "tenant": "acme"},
            {**PROVIDER, "name": "rival-own", "tenant": "rival"},
        ],
        queues=[
            {"name": "acme-queue", "tenant": "acme", "members": MEMBERS},
            {"name": "rival-queue", "tenant": "rival", "members": MEMBERS},
        ],
        rules=[
            {"name": "rival-rule", "tenant": "rival", "path": "/rival", "target": "https://rival.example"}
        ],
        keys=[
            {"name": "acme-key", "tenant": "acme", "queues": ["acme-queue"]},
            {"name": "rival-key", "tenant": "rival", "queues": ["rival-queue"]},
        ],
    )


def handlers_of(store: Store, settings: Settings) -> dict[tuple[str, str], Permission | None]:
    """Every address and method of the service, with the permission that it needs."""
    found: dict[tuple[str, str], Permission | None] = {}
    for route in create_app(settings, store).routes:
        assert isinstance(route, HTTPRoute)
        for method, (handler, _) in route.route_handler_map.items():
            if method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
                found[route.path_format, str(method)] = needed(handler)
    return found


async def test_every_address_names_the_permission_it_needs(store: Store, service_settings: Settings) -> None:
    open_to_all = {
        path for (path, _), permission in handlers_of(store, service_settings).items() if not permission
    }
    assert open_to_all == OPEN | {"/auth/session"}


@pytest.mark.parametrize("tenant", [None, "acme"])
@pytest.mark.parametrize("role", list(Role))
async def test_each_role_may_do_what_the_table_says_and_nothing_else(
    api: httpx.AsyncClient, store: Store, service_settings: Settings, role: Role, tenant: str | None
) -> None:
    await declare(api, tenants=[{"name": "acme"}])
    account = {"role": role.value} | ({"tenant": tenant} if tenant else {})
    async with signed(api, **account) as caller:
        for (path, method), permission in handlers_of(store, service_settings).items():
            if permission is None or path == "/auth/session":
                continue
            answer = await caller.request(method, re.sub(r"\{[^}]*\}", "none", path), json={})
            rule = RULES[permission]
            allowed = role.covers(rule.role) and (tenant is None or rule.tenants)
            assert (answer.status_code == 403) is not allowed, (method, path, answer.text)


async def test_the_table_of_the_guide_is_the_table_of_the_code() -> None:
    from pathlib import Path

    guide = Path("docs/access.md").read_text()
    for permission, rule in RULES.items():
        tenants = "yes" if rule.tenants else "no"
        assert f"| `{permission}` | {rule.role} | {tenants} |" in guide


async def test_an_unknown_or_revoked_or_expired_token_opens_nothing(api: httpx.AsyncClient) -> None:
    await api.post("/api/v1/accounts", json={"name": "ci", "kind": "service", "role": "editor"})
    tokens = "/api/v1/accounts/ci/tokens"
    kept = (await api.post(tokens, json={"label": "kept"})).json()
    late = (await api.post(tokens, json={"expires_at": "2020-01-01T00:00:00Z"})).json()
    revoked = (await api.post(tokens, json={})).json()
    assert (await api.delete(f"{tokens}/{revoked['id']}")).status_code == 204

    async def status(token: str) -> int:
        headers = {"Authorization": f"Bearer {token}"}
        return (await api.get("/api/v1/queues", headers=headers)).status_code

    assert [await status(each["text"]) for each in (kept, late, revoked)] == [200, 401, 401]
    assert [await status(text) for text in ("x", kept["text"] + "x", "a" * 5000)] == [401] * 3
    listed = (await api.get(tokens)).json()["items"]
    assert [item["label"] for item in listed] == ["kept", ""]
    assert listed[0]["last_used_at"] is not None
    assert kept["text"] not in (await api.get(tokens)).text
    assert (await api.patch("/api/v1/accounts/ci", json={"enabled": False})).status_code == 200
    assert await status(kept["text"]) == 401


async def test_no_token_is_kept_in_plain_text(api: httpx.AsyncClient, store: Store) -> None:
    await api.post("/api/v1/accounts", json={"name": "ci", "role": "viewer"})
    text = (await api.post("/api/v1/accounts/ci/tokens", json={})).json()["text"]
    session = await api.post("/auth/session", json={"token": text})
    async with store.database.connection() as connection:
        for table in ("account", "access_token", "session", "audit"):
            kept = str(await connection.fetch(f'SELECT t::text FROM "{table}" t'))
            assert text not in kept
            assert session.cookies["sluice_session"] not in kept


async def test_a_tenants_people_see_their_tenant_and_what_is_shared(api: httpx.AsyncClient) -> None:
    await two_tenants(api)
    async with signed(api, role="viewer", tenant="acme") as viewer:
        listed = {}
        for plural in ("tiers", "tenants", "providers", "queues", "keys"):
            found = (await viewer.get(f"/api/v1/{plural}")).json()["items"]
            listed[plural] = [item["name"] for item in found]
        texts = "".join([(await viewer.get(f"/api/v1/{each}")).text for each in (*listed, "revisions")])
    assert listed == {
        "tiers": ["small"],
        "tenants": ["acme"],
        "providers": ["acme-own", "openai-main"],
        "queues": ["acme-queue"],
        "keys": ["acme-key"],
    }
    assert "rival" not in texts


ATTACKS: Mapping[str, tuple[str, str, Mapping[str, Any] | None]] = {
    "read by name": ("GET", "/api/v1/queues/rival-queue", None),
    "read by id": ("GET", "/api/v1/queues/{queue}", None),
    "objects": ("GET", "/api/v1/queues/rival-queue/objects", None),
    "enforcement": ("GET", "/api/v1/queues/rival-queue/enforcement", None),
    "enforcement of a rule": ("GET", "/api/v1/rules/rival-rule/enforcement", None),
    "read a key": ("GET", "/api/v1/keys/rival-key", None),
    "read a tier": ("GET", "/api/v1/tiers/rival-tier", None),
    "read the tenant": ("GET", "/api/v1/tenants/rival", None),
    "read a provider": ("GET", "/api/v1/providers/rival-own", None),
    "read the platform's provider": ("GET", "/api/v1/providers/platform-only", None),
    "change": ("PATCH", "/api/v1/queues/rival-queue", {"labels": {"a": "b"}}),
    "change by id": ("PATCH", "/api/v1/queues/{queue}", {"labels": {"a": "b"}}),
    "change what is shared": ("PATCH", "/api/v1/providers/openai-main", {"labels": {"a": "b"}}),
    "remove": ("DELETE", "/api/v1/keys/rival-key", None),
    "rotate a key": ("POST", "/api/v1/keys/rival-key/rotate", {"overlap": "0"}),
    "history of an object": ("GET", "/api/v1/revisions?object=queue/rival-queue", None),
    "history of somebody": ("GET", "/api/v1/revisions?author=rival-admin", None),
    "audit of an object": ("GET", "/api/v1/audit?object=key/rival-key", None),
    "audit of somebody": ("GET", "/api/v1/audit?author=rival-admin", None),
    "verify the audit": ("GET", "/api/v1/audit/verify", None),
    "heal everybody's gateways": ("POST", "/api/v1/drift/heal", {}),
    "plan over another's": ("POST", "/api/v1/plan", {"keys": [{"name": "rival-key"}]}),
    "plan with another's": ("POST", "/api/v1/plan", {"keys": [{"name": "mine", "queues": ["rival-queue"]}]}),
    "export a source of another": ("GET", "/api/v1/export?source=of-rival", None),
    "move one's queue to another": ("PATCH", "/api/v1/queues/acme-queue", {"tenant": "rival"}),
    "take a queue by its name": ("POST", "/api/v1/queues", {"name": "rival-queue", "members": MEMBERS}),
    "take a queue by its id": (
        "POST",
        "/api/v1/queues",
        {"name": "mine", "id": "{queue}", "members": MEMBERS},
    ),
    "use another's provider": (
        "POST",
        "/api/v1/queues",
        {"name": "mine", "members": [{"name": "main", "provider": "rival-own", "model": "m"}]},
    ),
    "use the platform's provider": (
        "POST",
        "/api/v1/queues",
        {"name": "mine", "members": [{"name": "main", "provider": "platform-only", "model": "m"}]},
    ),
    "open another's queue": ("POST", "/api/v1/keys", {"name": "mine", "queues": ["rival-queue"]}),
    "go past every limit": ("POST", "/api/v1/keys", {"name": "mine", "providers": ["openai-main"]}),
    "share with everybody": ("POST", "/api/v1/providers", {**PROVIDER, "name": "mine", "shared": True}),
    "raise one's own limits": ("PATCH", "/api/v1/tenants/acme", {"limits": []}),
    "make a tenant": ("POST", "/api/v1/tenants", {"name": "mine"}),
    "make a gateway": ("POST", "/api/v1/gateways", {"name": "mine", "admin_url": "http://127.0.0.1:1"}),
    "apply over another's": (
        "POST",
        "/api/v1/apply",
        {"queues": [{"name": "rival-queue", "members": MEMBERS}]},
    ),
    "apply into another's": (
        "POST",
        "/api/v1/apply",
        {"queues": [{"name": "mine", "tenant": "rival", "members": MEMBERS}]},
    ),
    "apply a tenant": ("POST", "/api/v1/apply", {"tenants": [{"name": "acme", "limits": []}]}),
    "let somebody into another": ("POST", "/api/v1/accounts", {"name": "mine", "tenant": "rival"}),
    "see another's accounts": ("GET", "/api/v1/accounts/rival-admin", None),
    "make another's token": ("POST", "/api/v1/accounts/rival-admin/tokens", {}),
    "filter by another": ("GET", "/api/v1/queues?tenant=rival", None),
}


async def test_two_tenants_attack_each_other_and_get_nothing(api: httpx.AsyncClient) -> None:
    await two_tenants(api)
    queue = (await api.get("/api/v1/queues/rival-queue")).json()
    async with signed(api, role="admin", tenant="rival"), signed(api, role="admin", tenant="acme") as acme:
        before = {each: (await api.get(f"/api/v1/{each}")).text for each in ("queues", "keys", "providers")}
        for name, (method, path, body) in ATTACKS.items():
            path = path.replace("{queue}", queue["id"])
            sent = {**body, "id": queue["id"]} if body and body.get("id") else body
            answer = await acme.request(method, path, json=sent)
            found = answer.json() if answer.content else {}
            nothing = answer.status_code >= 400 or found.get("items", found.get("documents")) == []
            assert nothing, (name, answer.status_code, answer.text)
            assert answer.status_code < 500, name
            assert queue["members"][0]["name"] == "main"
            assert "rival-queue" not in answer.text or "rival-queue" in str((path, sent)), name
        after = {each: (await api.get(f"/api/v1/{each}")).text for each in before}
    assert after == before


@pytest.mark.parametrize(
    "path",
    [
        *("queues?name_prefix=r", "keys?label=of", "providers?source=default", "accounts", "tenants"),
        *("queues?cursor=cml2YWwtcHJvdmlkZXI", "keys?cursor=cml2YWw&limit=1", "providers?limit=500"),
        *("revisions", "revisions?source=default", "audit", "audit?action=create", "audit/export", "export"),
        *("drift", "gateways", "whoami", "revisions/1", "revisions/1/diff"),
    ],
)
async def test_no_filter_and_no_cursor_names_another_tenants_things(
    api: httpx.AsyncClient, path: str
) -> None:
    await two_tenants(api)
    await api.patch("/api/v1/keys/rival-key", json={"labels": {"of": "rival"}})
    async with signed(api, role="admin", tenant="rival"), signed(api, role="admin", tenant="acme") as acme:
        answer = await acme.get(f"/api/v1/{path}")
        assert answer.status_code in (200, 400, 404), answer.text
        assert "rival" not in answer.text


async def test_a_key_of_another_tenant_that_forbids_a_model_is_not_named(api: httpx.AsyncClient) -> None:
    await two_tenants(api)
    key = {"queues": ["acme-queue", "rival-queue"], "models": ["gpt-4o-mini"]}
    assert (await api.patch("/api/v1/keys/rival-key", json=key)).status_code == 200
    members = [{**MEMBERS[0], "model": "gpt-4o"}]
    async with signed(api, role="editor", tenant="acme") as acme:
        answer = await acme.patch("/api/v1/queues/acme-queue", json={"members": members})
        assert answer.status_code == 422
        assert "rival" not in answer.text


async def test_what_a_tenants_editor_declares_is_the_tenants(api: httpx.AsyncClient) -> None:
    await two_tenants(api)
    async with signed(api, role="editor", tenant="acme") as editor:
        document = {"source": "acme-team", "queues": [{"name": "second", "members": MEMBERS}]}
        made = await editor.post("/api/v1/apply", json=document)
        again = await editor.post("/api/v1/apply", json=document)
        revisions = (await editor.get("/api/v1/revisions")).json()["items"]
    assert [change["name"] for change in made.json()["changes"]] == ["second"]
    assert again.json()["changes"] == []
    assert (await api.get("/api/v1/queues/second")).json()["tenant"] == "acme"
    assert revisions[0]["author"] == "acme-editor"


async def test_a_session_of_a_browser_needs_the_pages_token_for_changes(api: httpx.AsyncClient) -> None:
    async with client(str(api.base_url)) as browser:
        del browser.headers["Authorization"]
        begun = await browser.post("/auth/session", json={"token": TOKEN})
        cookie = begun.headers["set-cookie"].lower()
        assert (begun.status_code, begun.json()["role"]) == (201, "admin")
        assert "httponly" in cookie
        assert "samesite=lax" in cookie
        tenant = {"name": "acme"}
        assert (await browser.get("/api/v1/tenants")).status_code == 200
        assert (await browser.post("/api/v1/tenants", json=tenant)).status_code == 403
        wrong = {"X-CSRF-Token": "0" * 64}
        assert (await browser.post("/api/v1/tenants", json=tenant, headers=wrong)).status_code == 403
        right = {"X-CSRF-Token": (await browser.get("/api/v1/whoami")).json()["csrf_token"]}
        assert (await browser.post("/api/v1/tenants", json=tenant, headers=right)).status_code == 201
        kept = dict(browser.cookies)
        assert (await browser.delete("/auth/session", headers=right)).status_code == 204
        browser.cookies.update(kept)
        assert (await browser.get("/api/v1/tenants")).status_code == 401


async def test_a_session_ends_with_the_token_that_opened_it(api: httpx.AsyncClient) -> None:
    await api.post("/api/v1/accounts", json={"name": "anna", "role": "viewer"})
    made = (await api.post("/api/v1/accounts/anna/tokens", json={})).json()
    async with client(str(api.base_url)) as browser:
        del browser.headers["Authorization"]
        await browser.post("/auth/session", json={"token": made["text"]})
        assert (await browser.get("/api/v1/queues")).status_code == 200
        await api.delete(f"/api/v1/accounts/anna/tokens/{made['id']}")
        assert (await browser.get("/api/v1/queues")).status_code == 401


async def test_who_fails_to_sign_in_too_often_has_to_wait(api: httpx.AsyncClient) -> None:
    answers = [await api.post("/auth/session", json={"token": f"guess-{number}"}) for number in range(12)]
    assert [answer.status_code for answer in answers[:10]] == [401] * 10
    assert answers[-1].status_code == 429
    assert int(answers[-1].headers["retry-after"]) > 0
    assert (await api.post("/auth/session", json={"token": TOKEN})).status_code == 429
    assert (await api.get("/api/v1/queues")).status_code == 200, "tokens of scripts are not held up by it"


async def test_a_tenant_with_accounts_cannot_be_removed(api: httpx.AsyncClient) -> None:
    await declare(api, tenants=[{"name": "acme"}])
    await api.post("/api/v1/accounts", json={"name": "anna", "role": "viewer", "tenant": "acme"})
    refused = await api.delete("/api/v1/tenants/acme")
    assert refused.status_code == 409
    assert "account anna" in refused.text


async def test_gateways_show_a_tenants_people_no_addresses(api: httpx.AsyncClient) -> None:
    await declare(api, tenants=[{"name": "acme"}])
    body = {"name": "edge", "admin_url": "http://10.1.2.3:9180", "labels": {"secret-site": "berlin"}}
    await api.post("/api/v1/gateways", json=body)
    async with signed(api, role="admin", tenant="acme") as admin:
        shown = (await admin.get("/api/v1/gateways/edge")).text
    assert "10.1.2.3" not in shown
    assert "berlin" not in shown
    assert '"state":"pending"' in shown


async def test_a_tenants_people_export_what_is_theirs(api: httpx.AsyncClient) -> None:
    await two_tenants(api)
    async with signed(api, role="viewer", tenant="acme") as viewer:
        (document,) = (await viewer.get("/api/v1/export")).json()["documents"]
    sections = ("providers", "queues", "keys")
    names = [item["name"] for section in sections for item in document[section]]
    assert names == ["acme-own", "acme-queue", "acme-key"]
    assert "tenants" not in document
    assert "sk-canary" not in str(document)


async def test_a_tenants_people_see_no_revision_of_others_and_cannot_roll_back(
    api: httpx.AsyncClient,
) -> None:
    await two_tenants(api)
    await api.patch("/api/v1/queues/rival-queue", json={"timeout_s": 5})
    async with signed(api, role="editor", tenant="acme") as editor:
        assert (await editor.get("/api/v1/revisions/2")).status_code == 404
        assert (await editor.get("/api/v1/revisions/1/diff")).json()["changes"] == []
        assert "rival" not in (await editor.get("/api/v1/revisions/1")).text
        assert (await editor.post("/api/v1/revisions/1/rollback")).status_code == 403
