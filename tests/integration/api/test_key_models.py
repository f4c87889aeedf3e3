"""Models of keys over the REST API: a queue and a key that do not agree are refused, whichever is written."""

from typing import Any

import httpx

from tests.fixtures.specs import document, member, queue


def declared(model: str, *allowed: str) -> dict[str, Any]:  # Any: JSON
    keys = [{"name": "web", "queues": ["support"], "models": list(allowed)}]
    return document(queues=[queue(members=[member(model=model)])], keys=keys)


async def refused(reply: httpx.Response) -> dict[str, Any]:  # Any: JSON
    assert reply.status_code == 422, reply.text
    error: dict[str, Any] = reply.json()["errors"][0]
    return error


async def test_a_key_is_refused_for_a_queue_of_another_model(api: httpx.AsyncClient) -> None:
    error = await refused(await api.post("/api/v1/apply", json=declared("large", "small")))
    assert error["field"] == "keys.web.models"
    key = {"name": "web", "queues": ["support"], "models": ["small"]}
    assert (await api.post("/api/v1/apply", json=declared("large"))).status_code == 200
    assert (await refused(await api.put("/api/v1/keys/web", json=key)))["field"] == "models"


async def test_a_queue_is_refused_another_model_while_a_key_forbids_it(api: httpx.AsyncClient) -> None:
    assert (await api.post("/api/v1/apply", json=declared("small", "small"))).status_code == 200
    members = [member(model="large")]
    error = await refused(await api.patch("/api/v1/queues/support", json={"members": members}))
    assert "key web" in error["message"]
    shown = (await api.get("/api/v1/queues/support")).json()
    assert shown["members"][0]["model"] == "small"


async def test_queue_and_key_change_together_in_one_document(api: httpx.AsyncClient) -> None:
    assert (await api.post("/api/v1/apply", json=declared("small", "small"))).status_code == 200
    assert (await api.post("/api/v1/apply", json=declared("large", "large"))).status_code == 200
    assert (await api.get("/api/v1/keys/web")).json()["models"] == ["large"]
