"""The Admin API: addresses, ids, lists, parts, references, schemas and what it refuses."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.integration.fallback.conftest import Bench

ROOT = "/apisix/admin"
UPSTREAM = {"nodes": {"127.0.0.1:1": 1}}
KINDS: dict[str, dict[str, Any]] = {
    "routes": {"uri": "/a", "upstream": UPSTREAM},
    "services": {"upstream": UPSTREAM},
    "upstreams": UPSTREAM,
    "plugin_configs": {"plugins": {}},
    "consumer_groups": {"plugins": {}},
    "global_rules": {"plugins": {"request-id": {}}},
}


async def get(bench: Bench, path: str) -> httpx.Response:
    return await bench.admin.get(f"{ROOT}/{path}")


@pytest.mark.parametrize(
    ("headers", "description"),
    [({"X-API-KEY": ""}, "missing apikey"), ({"X-API-KEY": "test-admin-keyx"}, "wrong apikey")],
)
async def test_nobody_without_the_key_is_served(
    bench: Bench, headers: dict[str, str], description: str
) -> None:
    for method, path in (("GET", "routes"), ("PUT", "routes/r1"), ("GET", "plugins/list"), ("GET", "x")):
        reply = await bench.admin.request(method, f"{ROOT}/{path}", headers=headers)
        assert (reply.status_code, reply.json()["description"]) == (401, description)


@pytest.mark.parametrize(("kind", "value"), KINDS.items())
async def test_an_object_is_created_read_replaced_listed_and_deleted(
    bench: Bench, kind: str, value: dict[str, Any]
) -> None:
    assert (await bench.put(f"{kind}/a1", value)).status_code == 201
    assert (
        await bench.put(f"{kind}/a1", {**value, "desc": "x"} if kind != "global_rules" else value)
    ).is_success
    shown = (await get(bench, f"{kind}/a1")).json()
    assert shown["key"] == f"/apisix/{kind}/a1"
    assert shown["createdIndex"] < shown["modifiedIndex"]
    assert (await get(bench, kind)).json()["total"] == 1
    gone = await bench.admin.delete(f"{ROOT}/{kind}/a1")
    assert gone.json() == {"key": f"/apisix/{kind}/a1", "deleted": "1"}
    assert (await get(bench, f"{kind}/a1")).status_code == 404
    assert (await bench.admin.delete(f"{ROOT}/{kind}/a1")).status_code == 404
    assert (await get(bench, kind)).json() == {"list": {}, "total": 0} or (await get(bench, kind)).json() == {
        "list": [],
        "total": 0,
    }


async def test_an_id_may_be_left_to_the_gateway_where_that_is_allowed(bench: Bench) -> None:
    reply = await bench.admin.post(f"{ROOT}/routes", json=KINDS["routes"])
    assert reply.status_code == 201
    assert (await get(bench, f"routes/{reply.json()['value']['id']}")).status_code == 200
    assert (await bench.admin.post(f"{ROOT}/routes/r1", json=KINDS["routes"])).status_code == 400
    assert (await bench.admin.post(f"{ROOT}/consumers", json={"username": "a"})).status_code == 405


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("routes/not allowed", KINDS["routes"]),
        ("routes/" + "x" * 65, KINDS["routes"]),
        ("routes/r1", {**KINDS["routes"], "id": "r2"}),
        ("routes/r1", {"uri": "/a"}),
        ("routes/r1", {**KINDS["routes"], "uris": ["/b"]}),
        ("routes/r1", {**KINDS["routes"], "unknown": 1}),
        ("routes/r1", {**KINDS["routes"], "create_time": 1}),
        ("routes/r1", {**KINDS["routes"], "methods": ["FETCH"]}),
        ("routes/r1", {**KINDS["routes"], "vars": [["a", "??", 1]]}),
        ("routes/r1", {**KINDS["routes"], "plugins": {"no-such-plugin": {}}}),
        ("routes/r1", {"uri": "/a", "service_id": "nobody"}),
        ("routes/r1", {"uri": "/a", "plugins": {}, "plugin_config_id": "nobody"}),
        ("routes/r1", {"uri": "/a", "upstream": {"type": "least_conn", **UPSTREAM}}),
        ("consumers/a", {"username": "b"}),
        ("consumers/a", {"username": "a", "group_id": "nobody"}),
        ("consumers/nobody/credentials/c", {"plugins": {"key-auth": {"key": "k"}}}),
        ("routes/r1", ["not", "an", "object"]),
    ],
)
async def test_what_cannot_be_taken_is_refused_and_changes_nothing(
    bench: Bench, path: str, value: Any
) -> None:
    reply = await bench.admin.put(f"{ROOT}/{path}", json=value)
    assert reply.status_code in (400, 404)
    assert reply.json()["error_msg"]
    assert (await get(bench, "routes")).json()["total"] == 0


async def test_a_body_that_is_no_json_or_too_large_is_refused(bench: Bench) -> None:
    reply = await bench.admin.put(f"{ROOT}/routes/r1", content=b"{")
    assert reply.status_code == 400
    assert reply.json()["error_msg"].startswith("invalid request body: ")
    large = await bench.admin.put(f"{ROOT}/routes/r1", content=b" " * (1536 * 1024 + 1))
    assert (large.status_code, "maximum size" in large.text) == (400, True)


async def test_lists_have_pages_and_filters(bench: Bench) -> None:
    for number in range(25):
        labels = {"owner": "us" if number % 2 else "them"}
        value = {"uri": f"/a/{number}", "name": f"n{number}", "labels": labels, "plugins": {}}
        await bench.put(f"routes/r{number:02d}", value)
    page = (await get(bench, "routes?page=3&page_size=10")).json()
    assert (page["total"], len(page["list"])) == (25, 5)
    assert (await get(bench, "routes?page=1&page_size=9")).status_code == 400
    assert (await get(bench, "routes?label=owner")).json()["total"] == 25
    assert (await get(bench, "routes?name=n1.")).json()["total"] == 10
    assert (await get(bench, "routes?uri=/a/2$")).json()["total"] == 1


async def test_a_part_of_an_object_can_be_changed(bench: Bench) -> None:
    await bench.put("routes/r1", {"uri": "/a", "plugins": {"request-id": {}}, "labels": {"a": "1", "b": "2"}})
    await bench.admin.patch(f"{ROOT}/routes/r1", json={"labels": {"a": None, "c": "3"}, "desc": "d"})
    value = (await get(bench, "routes/r1")).json()["value"]
    assert (value["labels"], value["desc"]) == ({"b": "2", "c": "3"}, "d")
    await bench.admin.patch(f"{ROOT}/routes/r1/labels", json={"only": "1"})
    assert (await get(bench, "routes/r1")).json()["value"]["labels"] == {"only": "1"}
    reply = await bench.admin.patch(f"{ROOT}/routes/r1", json={"uri": 1})
    assert reply.status_code == 400
    assert (await bench.admin.patch(f"{ROOT}/routes/nobody", json={"desc": "x"})).status_code == 404


async def test_what_others_refer_to_stays_unless_it_is_forced(bench: Bench) -> None:
    await bench.put("services/s1", {"upstream": UPSTREAM})
    await bench.put("plugin_configs/p1", {"plugins": {}})
    await bench.put("consumer_groups/g1", {"plugins": {}})
    await bench.put("consumers/ann", {"username": "ann", "group_id": "g1"})
    await bench.put("routes/r1", {"uri": "/a", "service_id": "s1", "plugin_config_id": "p1"})
    for path in ("services/s1", "plugin_configs/p1", "consumer_groups/g1"):
        refused = await bench.admin.delete(f"{ROOT}/{path}")
        assert refused.status_code == 400, path
        assert (await bench.admin.delete(f"{ROOT}/{path}?force=true")).status_code == 200


async def test_a_consumer_takes_its_credentials_with_it(bench: Bench) -> None:
    await bench.put("consumers/ann", {"username": "ann"})
    await bench.put("consumers/ann/credentials/c1", {"plugins": {"key-auth": {"key": "k"}}})
    reply = await bench.put(
        "consumers/ann/credentials/c2", {"plugins": {"key-auth": {"key": "k"}}}, status=400
    )
    assert "duplicate key" in reply.json()["error_msg"]
    assert (await get(bench, "consumers/ann/credentials")).json()["total"] == 1
    await bench.admin.delete(f"{ROOT}/consumers/ann")
    await bench.put("consumers/ann", {"username": "ann"})
    assert (await get(bench, "consumers/ann/credentials")).status_code == 404


async def test_schemas_of_everything_can_be_read(bench: Bench) -> None:
    names = (await get(bench, "plugins/list")).json()
    assert {"ai-proxy-multi", "ai-rate-limiting", "key-auth", "prometheus", "cors"} <= set(names)
    described = (await get(bench, "plugins?all=true")).json()
    assert set(described) == set(names)
    for name in names:
        assert "properties" in (await get(bench, f"schema/plugins/{name}")).json()
    assert "consumer_schema" in described["key-auth"]
    assert (await get(bench, "schema/plugins/key-auth?schema_type=consumer")).json()["required"] == ["key"]
    assert "uri" in (await get(bench, "schema/route")).json()["properties"]
    assert (await get(bench, "schema/plugins/nobody")).status_code == 404


async def test_a_write_is_in_effect_when_it_is_answered(bench: Bench) -> None:
    for number in range(20):
        body = {"plugins": {"response-rewrite": {"body": str(number)}}, "uri": "/x", "upstream": UPSTREAM}
        await bench.put("routes/r1", body)
        assert (await bench.client.get("/x")).text == str(number)
    await bench.admin.delete(f"{ROOT}/routes/r1")
    assert (await bench.client.get("/x")).status_code == 404


async def test_many_writers_at_once_lose_nothing(bench: Bench) -> None:
    async def write(number: int) -> None:
        await bench.put(f"routes/r{number}", {"uri": f"/{number}", "plugins": {}})

    await asyncio.gather(*map(write, range(100)))
    listed = (await get(bench, "routes")).json()
    assert listed["total"] == 100
    assert len({item["modifiedIndex"] for item in listed["list"]}) == 100
