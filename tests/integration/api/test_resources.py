"""The REST API, over a real socket and a real Postgres."""

import json
from typing import Any

import httpx
import pytest

from controlplane.api.openapi import openapi_document
from controlplane.app import create_app
from controlplane.settings import Settings
from controlplane.store.store import Store
from tests.fixtures.services import client, serving
from tests.fixtures.specs import document, member, queue

CANARY = "sk-canary-81c2"
PROVIDER = {"name": "openai-main", "type": "openai", "api_key": CANARY}

# Any: JSON.


async def with_queue(api: httpx.AsyncClient) -> dict[str, Any]:
    assert (await api.post("/api/v1/providers", json=PROVIDER)).status_code == 201
    reply = await api.post("/api/v1/queues", json=queue())
    assert reply.status_code == 201
    made: dict[str, Any] = reply.json()
    return made


def problem(reply: httpx.Response, status: int) -> dict[str, Any]:
    assert reply.status_code == status, reply.text
    assert reply.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = reply.json()
    assert found["status"] == status
    return found


async def test_a_queue_is_declared_read_changed_and_removed(api: httpx.AsyncClient) -> None:
    made = await with_queue(api)
    for ref in ("support", made["id"]):
        read = await api.get(f"/api/v1/queues/{ref}")
        assert (read.json()["id"], read.headers["etag"]) == (made["id"], f'"{made["version"]}"')
    changed = await api.patch("/api/v1/queues/support", json={"timeout_s": 5, "labels": {"team": "a"}})
    assert (changed.json()["timeout_s"], changed.json()["labels"]) == (5, {"team": "a"})
    anew = await api.put("/api/v1/queues/support", json=queue(limits=[{"tokens": 5, "per": "1m"}]))
    assert (anew.json()["labels"], anew.json()["limits"][0]["tokens"]) == ({}, 5)
    assert (await api.delete("/api/v1/queues/support")).status_code == 204
    problem(await api.get("/api/v1/queues/support"), 404)


async def test_a_secret_is_never_read_back(api: httpx.AsyncClient) -> None:
    made = await api.post("/api/v1/providers", json=PROVIDER)
    assert made.json()["api_key"] == "***"
    listed = await api.get("/api/v1/providers")
    assert CANARY not in made.text + listed.text
    put = await api.put("/api/v1/providers/openai-main", json=made.json() | {"endpoint": "https://x.example"})
    problem(put, 422)  # id, version and the like are the service's own


async def test_a_key_is_shown_when_it_is_made_and_never_again(api: httpx.AsyncClient) -> None:
    await with_queue(api)
    made = await api.post("/api/v1/keys", json={"name": "web", "queues": ["support"]})
    assert made.json()["key"].startswith("sk-sluice-")
    assert (await api.get("/api/v1/keys/web")).json()["key"] == "***"


async def test_somebody_else_s_change_is_not_overwritten(api: httpx.AsyncClient) -> None:
    made = await with_queue(api)
    etag = f'"{made["version"]}"'
    first = await api.patch("/api/v1/queues/support", json={"timeout_s": 5}, headers={"If-Match": etag})
    assert first.status_code == 200
    second = await api.patch("/api/v1/queues/support", json={"timeout_s": 6}, headers={"If-Match": etag})
    assert "has changed" in problem(second, 412)["detail"]
    anyhow = await api.patch("/api/v1/queues/support", json={"timeout_s": 6}, headers={"If-Match": "*"})
    assert anyhow.status_code == 200
    problem(await api.delete("/api/v1/queues/support", headers={"If-Match": 'W/"9"'}), 412)
    problem(await api.delete("/api/v1/queues/support", headers={"If-Match": "9"}), 400)


async def test_a_taken_name_and_a_used_object_are_conflicts(api: httpx.AsyncClient) -> None:
    await with_queue(api)
    assert "taken" in problem(await api.post("/api/v1/queues", json=queue()), 409)["detail"]
    used = problem(await api.delete("/api/v1/providers/openai-main"), 409)
    assert "queue support" in used["detail"]
    assert used["remedy"]


async def test_an_error_names_the_field_and_the_remedy(api: httpx.AsyncClient) -> None:
    await with_queue(api)
    body = queue(name="b", members=[member(wieght=1)], limits=[{"usd": 1}])
    found = problem(await api.post("/api/v1/queues", json=body), 422)["errors"]
    assert {item["field"]: item["remedy"] for item in found}["members[0].wieght"] == "did you mean weight?"
    refused = queue(name="b", limits=[{"usd": 5, "per": "1d"}])
    (item,) = problem(await api.post("/api/v1/queues", json=refused), 422)["errors"]
    assert (item["field"], item["remedy"]) == (
        "limits[0].usd",
        "a later release of Sluice enforces it; remove it until then",
    )


async def test_lists_come_in_pages(api: httpx.AsyncClient) -> None:
    for number in range(5):
        await api.post("/api/v1/tenants", json={"name": f"t{number}"})
    first = (await api.get("/api/v1/tenants?limit=3")).json()
    rest = (await api.get("/api/v1/tenants", params={"cursor": first["next_cursor"]})).json()
    names = [item["name"] for item in first["items"] + rest["items"]]
    assert names == ["t0", "t1", "t2", "t3", "t4"]
    assert rest["next_cursor"] is None


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "cursor=*", "nmae_prefix=a", "limit=1&limit=2"])
async def test_an_odd_query_is_refused(api: httpx.AsyncClient, query: str) -> None:
    problem(await api.get(f"/api/v1/queues?{query}"), 400)


async def test_nobody_comes_in_without_the_token(api: httpx.AsyncClient) -> None:
    for header in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic eA=="}):
        async with httpx.AsyncClient(base_url=api.base_url, headers=header) as stranger:
            reply = await stranger.get("/api/v1/queues")
            problem(reply, 401)
            assert reply.headers["www-authenticate"].startswith("Bearer")


async def test_a_document_is_applied_in_one_revision(api: httpx.AsyncClient) -> None:
    values = document(keys=[{"name": "web", "queues": ["support"]}])
    dry = (await api.post("/api/v1/apply?dry_run=true", json=values)).json()
    assert len(dry["changes"]) == 3
    done = (await api.post("/api/v1/apply", json=values)).json()
    assert done["keys"][0]["name"] == "web"
    revision = (await api.get(f"/api/v1/revisions/{done['revision']}")).json()
    assert [change["name"] for change in revision["changes"]] == ["openai-main", "support", "web"]
    assert done["keys"][0]["key"] not in json.dumps(revision)


async def test_a_gateway_reads_with_its_status_and_reveals_its_key_when_asked(api: httpx.AsyncClient) -> None:
    body = {"name": "edge", "admin_url": "http://127.0.0.1:1", "admin_key": CANARY}
    made = (await api.post("/api/v1/gateways", json=body)).json()
    assert (made["admin_key"], made["status"]["state"], made["status"]["writes"]) == ("***", "pending", 0)
    shown = (await api.get("/api/v1/gateways/edge?show_secrets=true")).json()
    assert shown["admin_key"] == CANARY


async def test_where_each_limit_is_held_is_told(api: httpx.AsyncClient) -> None:
    await with_queue(api)
    await api.patch("/api/v1/queues/support", json={"limits": [{"tokens": 5, "per": "1m"}]})
    (line,) = (await api.get("/api/v1/queues/support/enforcement")).json()["items"]
    assert (line["limit"], line["object"]) == ("5 tokens per 1m", "services/sluice.tokens")


ODD_BODIES = {
    "no JSON": (b"{", 400),
    "no UTF-8": (b'{"name": "\xff"}', 400),
    "no object": (b"[]", 400),
    "a name twice": (b'{"name": "a", "name": "b"}', 400),
    "NaN": (b'{"name": NaN}', 400),
    "deep": (b'{"labels":' * 5000 + b"1" + b"}" * 5000, 400),
    "deep enough to matter": (b'{"labels":' * 70 + b"1" + b"}" * 70, 400),
    "a huge float": (b'{"name": "a", "members": [], "timeout_s": 1e400}', 422),
    "a huge integer": (b'{"name": "a", "timeout_s": ' + b"9" * 400 + b"}", 422),
    "an endless integer": (b'{"name": "a", "timeout_s": ' + b"9" * 5000 + b"}", 400),
    "a lone surrogate": (b'{"name": "\\ud800"}', 422),
    "a lone surrogate as a name": (b'{"\\ud800": 1}', 422),
    "a control character": (b'{"name": "a\\u0000b"}', 422),
    "wrong types": (b'{"name": {}, "members": 5, "limits": "x", "labels": [1]}', 422),
    "empty": (b"", 400),
    "too large": (b'{"name": "' + b"x" * 10_000_000 + b'"}', 413),
}


@pytest.mark.parametrize("case", ODD_BODIES)
@pytest.mark.parametrize("path", ["/api/v1/queues", "/api/v1/providers", "/api/v1/apply"])
async def test_an_odd_body_is_a_clear_error(api: httpx.AsyncClient, path: str, case: str) -> None:
    body, status = ODD_BODIES[case]
    if path.endswith("apply") and case == "too large":
        body = b" " * (17 * 1024 * 1024)
    reply = await api.post(path, content=body, headers={"Content-Type": "application/json"})
    problem(reply, status)


@pytest.mark.parametrize(
    "ref", ["%00", "%ff", "a%2Fb", "x" * 5000, "'; DROP TABLE queue; --", "%ED%A0%80", "..", "\u202e"]
)
async def test_an_odd_name_in_the_path_is_not_found(api: httpx.AsyncClient, ref: str) -> None:
    for method in ("GET", "DELETE"):
        reply = await api.request(method, f"/api/v1/queues/{ref}")
        assert reply.status_code in (400, 404, 405), reply.text


async def test_an_odd_content_type_is_refused(api: httpx.AsyncClient) -> None:
    reply = await api.post("/api/v1/queues", content=b"{}", headers={"Content-Type": "text/plain"})
    problem(reply, 415)


async def test_a_method_that_an_address_does_not_know_is_told(api: httpx.AsyncClient) -> None:
    reply = await api.request("PUT", "/api/v1/queues")
    problem(reply, 405)
    assert "GET" in reply.headers["allow"]


async def test_a_secret_in_the_wrong_place_is_not_repeated(api: httpx.AsyncClient) -> None:
    for body in ({"name": CANARY + "!", "type": CANARY, "api_key": [CANARY]}, {"api_key": {"x": CANARY}}):
        assert CANARY not in (await api.post("/api/v1/providers", json=body)).text


async def test_the_request_id_is_returned(api: httpx.AsyncClient) -> None:
    ours = await api.get("/health/live", headers={"X-Request-Id": "from-the-client.1"})
    assert ours.headers["x-request-id"] == "from-the-client.1"
    made = await api.get("/health/live", headers={"X-Request-Id": "no good!"})
    assert made.headers["x-request-id"] not in ("", "no good!")


async def test_health_says_which_part_is_missing(
    store: Store, service_settings: Settings, api: httpx.AsyncClient
) -> None:
    assert (await api.get("/health/ready")).json() == {"status": "ok", "parts": {"database": "ok"}}
    await store.database.close()
    reply = await api.get("/health/ready")
    assert (reply.status_code, list(reply.json()["parts"])) == (503, ["database"])
    gone = await api.get("/api/v1/queues")
    assert problem(gone, 503)["remedy"]
    assert gone.headers["retry-after"] == "1"


async def test_every_address_for_users_is_in_the_openapi_document(
    store: Store, service_settings: Settings
) -> None:
    app = create_app(service_settings, store)
    documented = {
        (path, method.upper())
        for path, item in openapi_document()["paths"].items()
        for method in item
        if method != "parameters"
    }
    served = set()
    for route in app.routes:
        template = route.path_format
        if template.startswith("/internal/"):
            continue  # for gateways alone, which know it from what is compiled for them
        served |= {(template, method) for method in route.methods if method not in ("OPTIONS", "HEAD")}
    assert served == documented


async def test_the_document_is_served_without_a_token(store: Store, service_settings: Settings) -> None:
    async with serving(create_app(service_settings, store)) as url, client(url) as known:
        del known.headers["Authorization"]
        reply = await known.get("/api/openapi.json")
        assert reply.json()["openapi"].startswith("3.1")
