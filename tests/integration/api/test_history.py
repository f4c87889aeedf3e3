"""Revisions over the REST API: listed, shown and compared, with every secret masked."""

from typing import Any

import httpx

from tests.fixtures.specs import member, queue

CANARY = "sk-canary-history-51c1"


async def write_some(api: httpx.AsyncClient) -> None:
    """Revisions 1 to 5: a provider, a queue, its limit twice, another provider key."""
    provider = {"name": "openai-main", "type": "openai", "api_key": CANARY}
    await sent(api.post("/api/v1/providers", json=provider))
    await sent(api.post("/api/v1/queues", json=queue(limits=[{"tokens": 1, "per": "1m"}])))
    for tokens in (2, 3):
        patch = {"limits": [{"tokens": tokens, "per": "1m"}]}
        await sent(api.patch("/api/v1/queues/support", json=patch))
    await sent(api.patch("/api/v1/providers/openai-main", json={"api_key": CANARY + "2"}))


async def sent(request: Any) -> httpx.Response:
    answer: httpx.Response = await request
    answer.raise_for_status()
    return answer


async def got(api: httpx.AsyncClient, path: str) -> Any:
    answer = await sent(api.get(f"/api/v1/{path}"))
    assert CANARY not in answer.text
    assert "sealed" not in answer.text
    return answer.json()


def told(changes: Any) -> list[str]:
    return [
        f"{change['action']} {change['kind']} {change['name']}: {field['field']} "
        f"{field['before']} → {field['after']}"
        for change in changes
        for field in change["fields"]
    ]


async def test_revisions_come_in_pages_the_newest_first(api: httpx.AsyncClient) -> None:
    await write_some(api)
    first = await got(api, "revisions?limit=3")
    assert [item["id"] for item in first["items"]] == [5, 4, 3]
    assert {item["objects"] for item in first["items"]} == {1}
    rest = await got(api, f"revisions?limit=3&cursor={first['next_cursor']}")
    assert [item["id"] for item in rest["items"]] == [2, 1]
    assert rest["next_cursor"] is None


async def test_revisions_are_found_by_source_author_and_object(api: httpx.AsyncClient) -> None:
    await write_some(api)
    document = {"source": "team", "providers": [{"name": "spare", "type": "deepseek"}]}
    await sent(api.post("/api/v1/apply", json=document))

    async def found(query: str) -> list[int]:
        return [item["id"] for item in (await got(api, f"revisions?{query}"))["items"]]

    assert await found("source=team") == [6]
    assert await found("source=default&object=provider/openai-main") == [5, 1]
    assert await found("author=admin") == [6, 5, 4, 3, 2, 1]
    assert await found("author=nobody") == []
    assert await found("object=queue/none") == []


async def test_an_object_is_found_under_every_name_that_it_had(api: httpx.AsyncClient) -> None:
    await write_some(api)
    await sent(api.put("/api/v1/queues/support", json={**queue(), "name": "helpdesk"}))
    for name in ("support", "helpdesk"):
        items = (await got(api, f"revisions?object=queue/{name}"))["items"]
        assert [item["id"] for item in items] == [6, 4, 3, 2]


async def test_a_revision_shows_what_it_changed(api: httpx.AsyncClient) -> None:
    await write_some(api)
    shown = await got(api, "revisions/3")
    assert told(shown["changes"]) == ["update queue support: limits[0] 1 tokens per 1m → 2 tokens per 1m"]
    assert told((await got(api, "revisions/5"))["changes"]) == [
        "update provider openai-main: api_key *** → *** (another secret)"
    ]


async def test_two_revisions_are_compared_in_either_order(api: httpx.AsyncClient) -> None:
    await write_some(api)
    assert told((await got(api, "revisions/2/diff?to=4"))["changes"]) == [
        "update queue support: limits[0] 1 tokens per 1m → 3 tokens per 1m"
    ]
    assert told((await got(api, "revisions/4/diff?to=2"))["changes"]) == [
        "update queue support: limits[0] 3 tokens per 1m → 1 tokens per 1m"
    ]
    newest = await got(api, "revisions/4/diff")
    assert newest["to"] == 5
    assert told(newest["changes"]) == ["update provider openai-main: api_key *** → *** (another secret)"]


async def test_what_went_back_to_how_it_was_is_no_difference(api: httpx.AsyncClient) -> None:
    await write_some(api)
    await sent(api.patch("/api/v1/queues/support", json={"limits": [{"tokens": 1, "per": "1m"}]}))
    await sent(api.post("/api/v1/queues", json=queue(name="gone", members=[member()])))
    await sent(api.delete("/api/v1/queues/gone"))
    assert (await got(api, "revisions/2/diff?to=4"))["changes"] != []
    changes = (await got(api, "revisions/2/diff"))["changes"]
    assert [change["name"] for change in changes] == ["openai-main"]


async def test_what_is_asked_for_wrongly_is_said(api: httpx.AsyncClient) -> None:
    await write_some(api)
    for path, status in {
        "revisions/99": 404,
        "revisions/1/diff?to=99": 404,
        "revisions/0": 400,
        "revisions?object=queue": 400,
        "revisions?object=cow/x": 400,
        "revisions?autor=x": 400,
    }.items():
        answer = await api.get(f"/api/v1/{path}")
        assert answer.status_code == status, path
        assert answer.json()["remedy"] or answer.json()["errors"]
