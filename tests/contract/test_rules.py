"""A forwarding rule sends calls where it says, on a gateway of ours and on a real one."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.contract.declared import OTHER, WEB, Declared
from tests.fixtures.free_ports import free_ports
from tests.fixtures.http_api import Answer, Asked, HttpApi, http_api
from tests.fixtures.services import until
from tests.fixtures.specs import BASE_DOMAIN

# Any: declarations and JSON.


@pytest.fixture
async def api() -> AsyncIterator[HttpApi]:
    async with http_api() as made:
        yield made


async def ruled(
    declared: Declared,
    api: HttpApi,
    *,
    key: dict[str, Any] | None = None,
    service: str | None = None,
    **parts: Any,
) -> None:
    """Declare one rule on /weather that the key `web` opens."""
    rule = {"name": "weather", "path": "/weather", "target": api.url, **parts}
    keys = [{"name": "web", "rules": ["weather"], **(key or {})}, {"name": "other"}]
    await declared.declare(rules=[rule], keys=keys, service=service)
    headers = {"Host": rule["hosts"][0]} if "hosts" in rule else {}
    method = rule.get("methods", ["POST"])[0]

    async def there() -> bool:
        reply = await declared.client.request(method, rule["path"], headers=headers)
        return reply.status_code != 404

    await until(there, "the rule's route")
    api.requests.clear()


async def call(
    declared: Declared, path: str, method: str = "GET", key: str | None = WEB, **more: Any
) -> httpx.Response:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return await declared.client.request(method, path, headers=headers | more.pop("headers", {}), **more)


async def test_a_call_goes_to_the_target_with_its_query_and_body(declared: Declared, api: HttpApi) -> None:
    await ruled(declared, api)
    reply = await call(declared, "/weather/rome?days=2&x=%20y", "PUT", content=b"tell me")
    assert (reply.status_code, reply.json()["method"]) == (200, "PUT")
    assert (reply.json()["target"], reply.json()["body"]) == ("/weather/rome?days=2&x=%20y", "tell me")
    assert reply.json()["headers"]["host"] == f"{api.host}:{api.port}"


@pytest.mark.parametrize(
    ("parts", "asked", "seen"),
    [
        ({"strip_path": True}, "/weather/rome?d=1", "/rome?d=1"),
        ({"strip_path": True}, "/weather", "/"),
        ({"strip_path": True, "base": "/v2"}, "/weather", "/v2"),
        ({"strip_path": True, "base": "/v2"}, "/weather/", "/v2/"),
        ({"strip_path": True, "base": "/v2/"}, "/weather/a/b?q=1", "/v2/a/b?q=1"),
        ({"base": "/v2"}, "/weather/rome", "/v2/weather/rome"),
        ({"match": "exact", "strip_path": True, "base": "/now"}, "/weather?a=b", "/now?a=b"),
        ({"match": "exact"}, "/weather", "/weather"),
    ],
)
async def test_the_path_is_rewritten_as_declared(
    declared: Declared, api: HttpApi, parts: dict[str, Any], asked: str, seen: str
) -> None:
    base = parts.pop("base", "")
    await ruled(declared, api, target=api.url + base, **parts)
    assert (await call(declared, asked)).json()["target"] == seen


async def test_a_prefix_ends_at_a_slash_and_an_exact_path_at_its_end(
    declared: Declared, api: HttpApi
) -> None:
    await ruled(declared, api)
    assert (await call(declared, "/weatherman")).status_code == 404
    assert (await call(declared, "/weather/rome")).status_code == 200
    await ruled(declared, api, match="exact")

    async def alone() -> bool:
        return (await call(declared, "/weather/rome")).status_code == 404

    await until(alone, "the exact path")
    assert (await call(declared, "/weather")).status_code == 200


async def test_other_methods_and_other_hosts_lead_nowhere(declared: Declared, api: HttpApi) -> None:
    await ruled(declared, api, methods=["GET"], hosts=["api.example.com"])
    host = {"Host": "api.example.com"}
    assert (await call(declared, "/weather", headers=host)).status_code == 200
    assert (await call(declared, "/weather", "POST", headers=host)).status_code == 404
    assert (await call(declared, "/weather")).status_code == 404


async def test_a_rule_takes_no_call_without_a_key_that_opens_it(declared: Declared, api: HttpApi) -> None:
    await ruled(declared, api)
    assert (await call(declared, "/weather", key=None)).status_code == 401
    assert (await call(declared, "/weather", key=OTHER)).status_code == 403
    assert (await call(declared, "/weather")).status_code == 200
    await ruled(declared, api, access="open")

    async def open_() -> bool:
        return (await call(declared, "/weather", key=None)).status_code == 200

    await until(open_, "the open rule")


async def test_the_target_sees_no_credential_and_the_headers_that_are_set(
    declared: Declared, api: HttpApi
) -> None:
    changes = {"set": {"x-tier": "gold"}, "remove": ["x-debug"]}
    answers = {"set": {"x-served-by": "sluice"}, "remove": ["x-internal"]}
    await ruled(declared, api, headers=changes, response_headers=answers, preserve_host=True)
    api.says(headers={"X-Internal": "secret", "X-Kept": "yes"})
    reply = await call(declared, "/weather", headers={"X-Debug": "1", "X-Tier": "iron", "Cookie": "a=b"})
    seen = reply.json()["headers"]
    assert (seen["x-tier"], "x-debug" in seen, "authorization" in seen, "cookie" in seen) == (
        "gold",
        False,
        False,
        False,
    )
    assert seen["host"] == declared.target.traffic_address
    assert reply.headers["x-served-by"] == "sluice"
    assert ("x-internal" in reply.headers, reply.headers["x-kept"]) == (False, "yes")


async def test_requests_are_counted_and_refused_with_a_time_to_wait(declared: Declared, api: HttpApi) -> None:
    # A path of its own object: counters are kept under the ids of objects.
    await ruled(declared, api, limits=[{"requests": 2, "per": "1h", "by": "key"}])
    codes = [(await call(declared, "/weather")).status_code for _ in range(2)]
    refused = await call(declared, "/weather")
    assert (codes, refused.status_code) == ([200, 200], 429)
    assert 1 < int(refused.headers["retry-after"]) <= 3600
    assert "used up" in refused.json()["error_msg"]


async def test_concurrency_is_held_to_the_end_of_a_call(declared: Declared, api: HttpApi) -> None:
    await ruled(declared, api, limits=[{"concurrency": 1}])
    over = asyncio.Event()
    api.says(until=over.is_set)
    first = asyncio.create_task(call(declared, "/weather"))

    async def busy() -> bool:
        return len(api.requests) == 1

    await until(busy, "the first call")
    second = await call(declared, "/weather")
    over.set()
    assert (second.status_code, (await first).status_code) == (429, 200)


async def test_a_target_that_takes_too_long_is_answered_504(declared: Declared, api: HttpApi) -> None:
    await ruled(declared, api, timeouts={"read_s": 0.2})
    api.says(delay_s=5)
    assert (await call(declared, "/weather")).status_code == 504


@pytest.mark.parametrize(("retries", "wanted"), [(0, (502, 1)), (2, (200, 3))])
async def test_a_call_that_is_lost_is_tried_again_as_often_as_declared(
    declared: Declared, api: HttpApi, retries: int, wanted: tuple[int, int]
) -> None:
    await ruled(declared, api, retries=retries)

    def twice_lost(_: Asked) -> Answer:
        return Answer(lost=len(api.requests) <= 2)

    api.answer = twice_lost
    reply = await call(declared, "/weather")
    assert (reply.status_code, len(api.requests)) == wanted


async def test_a_call_that_may_have_had_an_effect_is_not_repeated(declared: Declared, api: HttpApi) -> None:
    await ruled(declared, api, retries=2)
    api.says(lost=True)
    assert (await call(declared, "/weather", "POST", content=b"pay")).status_code == 502
    assert len(api.requests) == 1


async def test_a_target_that_is_not_there_is_answered_502(declared: Declared, api: HttpApi) -> None:
    await ruled(declared, api, target=f"http://127.0.0.1:{free_ports(1)[0]}", retries=1)
    assert (await call(declared, "/weather", "POST", content=b"x")).status_code == 502


async def test_a_tenant_s_rule_answers_under_its_own_host_to_its_own_keys(
    declared: Declared, api: HttpApi
) -> None:
    tenants = [{"name": name, "subdomain": name} for name in ("acme", "rival")]
    rules = [
        {"name": name, "tenant": name, "path": "/api", "target": f"{api.url}/{name}", "access": "tenant"}
        for name in ("acme", "rival")
    ]
    keys = [{"name": "web", "tenant": "acme"}, {"name": "other", "tenant": "rival"}]
    await declared.declare(rules=rules, tenants=tenants, keys=keys)

    async def asked(key: str, name: str) -> httpx.Response:
        return await call(declared, "/api", key=key, headers={"Host": f"{name}.{BASE_DOMAIN}"})

    async def both() -> bool:
        mine, theirs = await asked(WEB, "acme"), await asked(OTHER, "rival")
        return (mine.status_code, theirs.status_code) == (200, 200)

    await until(both, "both tenants' rules")
    assert (await asked(WEB, "acme")).json()["target"] == "/acme/api"
    assert (await asked(WEB, "rival")).status_code == 403
    assert (await asked(OTHER, "acme")).status_code == 403
    assert (await call(declared, "/api")).status_code == 404
