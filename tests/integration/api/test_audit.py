"""The audit over the REST API."""

import json
from typing import Any

import httpx
import pytest

from controlplane.store.store import Store
from tests.integration.api.test_access import signed, two_tenants
from tests.integration.store.test_audit import tampered

CANARY = "sk-canary-5b1d"


async def rows(api: httpx.AsyncClient, **query: str) -> list[dict[str, Any]]:
    answer = await api.get("/api/v1/audit", params=query)
    answer.raise_for_status()
    assert CANARY not in answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def test_rows_are_found_by_what_they_say(api: httpx.AsyncClient) -> None:
    await two_tenants(api)
    await api.patch("/api/v1/queues/acme-queue", json={"timeout_s": 5}, headers={"X-Request-Id": "the-one"})
    (row,) = await rows(api, action="update")
    assert (row["kind"], row["name"], row["author"], row["revision"]) == ("queue", "acme-queue", "admin", 2)
    assert row["before"].get("timeout_s") != row["after"]["timeout_s"] == 5
    assert row["address"] == "127.0.0.1"
    assert await rows(api, request_id=row["request_id"]) == [row]
    assert await rows(api, revision="2") == [row]
    assert [found["action"] for found in await rows(api, object="queue/acme-queue")] == ["update", "create"]
    assert await rows(api, since=row["at"]) == [row]
    assert row not in await rows(api, until=row["at"])
    assert await rows(api, author="nobody") == []


async def test_rows_come_in_pages_and_as_json_lines(api: httpx.AsyncClient) -> None:
    await two_tenants(api)
    listed, cursor = [], None
    while True:
        page = (
            await api.get("/api/v1/audit", params={"limit": 3} | ({"cursor": cursor} if cursor else {}))
        ).json()
        listed += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    export = await api.get("/api/v1/audit/export")
    assert export.headers["content-type"].startswith("application/x-ndjson")
    assert [json.loads(line) for line in export.text.splitlines()] == listed
    assert CANARY not in export.text
    assert (await api.get("/api/v1/audit/export?author=nobody")).text == ""


async def test_a_tenants_administrator_sees_what_was_done_to_their_tenant(api: httpx.AsyncClient) -> None:
    await two_tenants(api)
    async with signed(api, role="admin", tenant="acme") as admin:
        names = {row["name"] for row in await rows(admin)}
        export = (await admin.get("/api/v1/audit/export")).text
        assert (await admin.get("/api/v1/audit/check")).status_code == 403
    assert names == {"acme", "acme-own", "acme-queue", "acme-key", "acme-admin"}
    assert "rival" not in export
    async with signed(api, role="editor", name="not-an-admin") as editor:
        assert (await editor.get("/api/v1/audit")).status_code == 403


async def test_a_check_tells_whether_the_audit_is_as_it_was_written(
    api: httpx.AsyncClient, store: Store
) -> None:
    await two_tenants(api)
    sound = (await api.get("/api/v1/audit/check")).json()
    assert (sound["rows"], sound["findings"]) == (len(await rows(api)), [])
    await tampered(store, "UPDATE audit SET author = 'x' WHERE id = 2")
    broken = (await api.get("/api/v1/audit/check", params={"head": sound["head"]})).json()
    assert broken["findings"] == [{"row": 2, "what": "was changed, or put in by somebody else"}]


@pytest.mark.parametrize(
    "query", ["since=yesterday", "since=2026-01-01T00:00:00", "object=queue", "revision=x", "autor=x"]
)
async def test_a_filter_that_means_nothing_is_refused(api: httpx.AsyncClient, query: str) -> None:
    assert (await api.get(f"/api/v1/audit?{query}")).status_code == 400


async def test_a_head_that_no_check_has_given_is_refused(api: httpx.AsyncClient) -> None:
    assert (await api.get("/api/v1/audit/check?head=5")).status_code == 400
