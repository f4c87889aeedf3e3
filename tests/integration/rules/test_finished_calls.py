"""External validators of the stage `post_response`: told of a call once its caller has the answer."""

import json
from typing import Any

import httpx

from tests.fixtures.http_api import Answer, Asked
from tests.fixtures.services import until
from tests.integration.rules.conftest import Ruled

# Any: JSON.


def told(asked: Asked) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(asked.body)
    return value


async def heard(ruled: Ruled, number: int = 0, count: int = 1) -> list[dict[str, Any]]:
    """What a validator has been told, once it has been told so much."""
    listener = ruled.validators[number]

    async def enough() -> bool:
        return len(listener.requests) >= count

    await until(enough, "what the validator is told")
    return [told(asked) for asked in listener.requests]


async def test_a_validator_is_told_how_a_call_ended_and_neither_bodies_nor_credentials(ruled: Ruled) -> None:
    key = {"api_key": "Bearer target-key-0099"}
    await ruled.rule(ruled.validator(stage="post_response", settings={"headers": ["x-team"]}), **key)
    ruled.target.says(status=404, body=b"body-of-the-answer")
    headers = {"X-Team": "red", "Authorization": "Bearer secret-of-the-caller", "X-Request-Id": "call-1"}
    reply = await ruled.traffic.post("/weather/rome?days=2", headers=headers, content=b"body-of-the-call")
    assert (reply.status_code, reply.content) == (404, b"body-of-the-answer")
    (seen,) = await heard(ruled)
    (asked,) = ruled.validators[0].requests
    assert (asked.method, asked.target) == ("POST", "/ask")
    assert seen.pop("latency_ms") >= 0
    assert seen == {
        "rule": "weather",
        "tenant": None,
        "method": "POST",
        "host": "127.0.0.1",
        "uri": "/weather/rome?days=2",
        "client_ip": "127.0.0.1",
        "request_id": "call-1",
        "status": 404,
        "headers": {"x-team": "red"},
    }
    for text in ("target-key-0099", "secret-of-the-caller", "body-of-the"):
        assert text not in str(asked)


async def test_the_caller_waits_for_no_validator_that_is_told(ruled: Ruled) -> None:
    done: list[bool] = []
    await ruled.rule(ruled.validator(stage="post_response", settings={"timeout_ms": 30_000}))
    ruled.validators[0].answer = lambda _: Answer(until=lambda: bool(done))
    assert [(await ruled.traffic.get("/weather")).status_code for _ in range(2)] == [200, 200]
    done.append(True)
    assert len(await heard(ruled, count=2)) == 2


async def test_calls_that_were_refused_are_told_too(ruled: Ruled) -> None:
    check = {"name": "security_validator", "settings": {"required_headers": ["x-ticket"]}}
    await ruled.rule(check, ruled.validator(stage="post_response"))
    assert (await ruled.traffic.get("/weather")).status_code == 400
    assert [seen["status"] for seen in await heard(ruled)] == [400]


async def test_they_are_told_by_priority_and_those_of_one_priority_in_parallel(ruled: Ruled) -> None:
    first = [ruled.validator(number, priority=1, parallel=True, stage="post_response") for number in (0, 1)]
    later = ruled.validator(0, priority=2, stage="post_response", settings={"headers": ["x-later"]})
    await ruled.rule(later, *first)
    # Both of the first group are under way before either is answered, and the later one comes after both.
    ruled.validators[0].answer = lambda _: Answer(until=lambda: bool(ruled.validators[1].requests))
    ruled.validators[1].answer = lambda _: Answer(until=lambda: bool(ruled.validators[0].requests))
    await ruled.traffic.get("/weather", headers={"X-Later": "1"})
    assert [seen["headers"] for seen in await heard(ruled, count=2)] == [{}, {"x-later": "1"}]


async def test_one_that_cannot_be_told_keeps_the_next_from_nothing(ruled: Ruled) -> None:
    lost = ruled.validator(0, priority=1, stage="post_response")
    await ruled.rule(lost, ruled.validator(1, priority=2, stage="post_response"))
    ruled.validators[0].says(lost=True)
    assert (await ruled.traffic.get("/weather")).status_code == 200
    assert [seen["status"] for seen in await heard(ruled, 1)] == [200]


async def test_what_a_tenant_requires_is_told_of_every_rule_of_its(ruled: Ruled) -> None:
    tenants = [{"name": "acme", "required_plugins": [ruled.validator(1, stage="post_response")]}]
    rule = {"name": "own", "tenant": "acme", "path": "/own", "target": ruled.target.url, "access": "open"}
    await ruled.declare(tenants=tenants, rules=[rule])
    assert (await ruled.traffic.get("/own")).status_code == 200
    assert [(seen["rule"], seen["tenant"]) for seen in await heard(ruled, 1)] == [("own", "acme")]


async def test_nobody_but_a_gateway_makes_the_service_tell(ruled: Ruled) -> None:
    await ruled.rule(ruled.validator(stage="post_response"))
    conf = (await ruled.world.objects())["plugin_configs/r.weather"]["plugins"]["http-logger"]
    entry = {"method": "GET", "status": "200", "latency_s": "0.25", "uri": "/weather"}
    proof = {"Authorization": conf["auth_header"]}
    other = conf["uri"].replace(conf["uri"].split("/")[-2], "00000000-0000-0000-0000-000000000000")
    async with httpx.AsyncClient() as somebody:
        assert (await somebody.post(conf["uri"], json=entry)).status_code == 401
        wrong = {"Authorization": "Bearer x"}
        assert (await somebody.post(conf["uri"], json=entry, headers=wrong)).status_code == 401
        assert (await somebody.post(other, json=entry, headers=proof)).status_code == 401
        assert (await somebody.post(conf["uri"], json=[entry], headers=proof)).status_code == 400
        assert ruled.validators[0].requests == []
        assert (await somebody.post(conf["uri"], json=entry, headers=proof)).status_code == 204
        # Addresses come as the caller wrote them, in whatever encoding.
        raw = b'{"uri": "/weather/\xff", "status": 200}'
        assert (await somebody.post(conf["uri"], content=raw, headers=proof)).status_code == 204
    seen = await heard(ruled, count=2)
    assert {(one["uri"], one["status"], one["latency_ms"]) for one in seen} == {
        ("/weather", 200, 250),
        ("/weather/\ufffd", 200, None),
    }
    async with ruled.world.api() as api:
        for path in ("rules/weather", "rules/weather/objects", "gateways/edge/objects", "audit", "export"):
            assert conf["auth_header"].removeprefix("Bearer ") not in (await api.get(f"/api/v1/{path}")).text


async def test_the_use_of_a_key_is_kept_with_a_finished_call_and_is_nobody_else_s_business(
    ruled: Ruled,
) -> None:
    await ruled.rule(ruled.validator(stage="post_response"))
    await ruled.declare(keys=[{"name": "web", "rules": ["weather"]}])
    logger = await logger_of(ruled)
    async with ruled.world.api() as api, httpx.AsyncClient(timeout=30) as gateway:
        key = (await api.get("/api/v1/keys/web")).json()
        assert key["last_used_at"] is None
        entry = {"consumer": f"key-{key['id'].replace('-', '')}", "at": "1700000000.125", "status": "200"}
        proof = {"Authorization": logger["auth_header"]}
        assert (await gateway.post(logger["uri"], json=entry)).status_code == 401
        assert (await gateway.post(logger["uri"], json=entry, headers=proof)).status_code == 204
        used = (await api.get("/api/v1/keys/web")).json()["last_used_at"]
    assert used == "2023-11-14T22:13:20.125000+00:00"
    (seen,) = await heard(ruled)
    assert not {"consumer", "at"} & seen.keys()
    assert entry["consumer"] not in str(ruled.validators[0].requests)


async def logger_of(ruled: Ruled) -> dict[str, Any]:
    """How the gateway was told to tell of the rule's finished calls."""
    found = await ruled.world.objects()
    plugins = [value["plugins"] for path, value in found.items() if path.startswith("plugin_configs/")]
    (logger,) = [one["http-logger"] for one in plugins if "http-logger" in one]
    conf: dict[str, Any] = logger
    return conf
