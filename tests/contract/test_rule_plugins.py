"""The plugin chain of a forwarding rule does the same on a gateway of ours and on a real one."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.contract.declared import PROOF, Declared
from tests.contract.test_rules import call, ruled
from tests.fixtures.http_api import HttpApi, http_api
from tests.fixtures.services import until

# Any: declarations and JSON.

SCHEMA = {"type": "object", "required": ["city"], "properties": {"city": {"type": "string", "minLength": 2}}}


@pytest.fixture
async def api() -> AsyncIterator[HttpApi]:
    async with http_api() as made:
        yield made


def plugin(name: str, priority: int = 100, stage: str = "pre_request", **settings: Any) -> dict[str, Any]:
    return {"name": name, "priority": priority, "stage": stage, "settings": settings}


async def code(declared: Declared, method: str = "GET", **more: Any) -> int:
    return (await call(declared, "/weather", method, **more)).status_code


async def test_a_call_without_a_required_header_is_refused(declared: Declared, api: HttpApi) -> None:
    await ruled(declared, api, plugins=[plugin("security_validator", required_headers=["x-ticket"])])
    assert [await code(declared), await code(declared, headers={"X-Ticket": "7"})] == [400, 200]
    assert len(api.requests) == 1


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({"allow_ips": ["127.0.0.0/8"]}, 200),
        ({"allow_ips": ["203.0.113.7"]}, 403),
        ({"deny_ips": ["127.0.0.1"]}, 403),
        ({"allow_ips": ["127.0.0.0/8"], "deny_ips": ["127.0.0.1"]}, 403),
    ],
)
async def test_addresses_are_let_in_or_kept_out(
    declared: Declared, api: HttpApi, settings: dict[str, Any], wanted: int
) -> None:
    await ruled(declared, api, plugins=[plugin("security_validator", **settings)])
    assert await code(declared) == wanted


async def test_a_body_that_is_too_large_or_meets_no_schema_is_refused(
    declared: Declared, api: HttpApi
) -> None:
    chain = [
        plugin("content_validator", json_schema=SCHEMA),
        plugin("security_validator", 5, max_body_bytes=50),
    ]
    await ruled(declared, api, methods=["POST"], plugins=chain)
    assert await code(declared, "POST", json={"city": "Rome"}) == 200
    assert await code(declared, "POST", json={"city": "R"}) == 400
    assert await code(declared, "POST", json={"town": "Rome"}) == 400
    assert await code(declared, "POST", json={"city": "R" * 90}) == 413
    assert await code(declared, "POST") == 400


async def test_what_several_validators_ask_for_is_all_asked_for(declared: Declared, api: HttpApi) -> None:
    chain = [
        plugin("security_validator", required_headers=["x-a"], json_schema=SCHEMA),
        plugin("security_validator", required_headers=["x-b"]),
        plugin("content_validator", json_schema={"properties": {"city": {"maxLength": 6}}}),
        {**plugin("security_validator", required_headers=["x-c"]), "enabled": False},
    ]
    await ruled(declared, api, methods=["POST"], plugins=chain)
    both = {"X-A": "1", "X-B": "1"}
    assert await code(declared, "POST", json={"city": "Rome"}, headers=both) == 200
    assert await code(declared, "POST", json={"city": "Rome"}, headers={"X-A": "1"}) == 400
    assert await code(declared, "POST", json={"city": "Florence"}, headers=both) == 400


async def test_a_call_that_a_check_refuses_is_not_counted(declared: Declared, api: HttpApi) -> None:
    chain = [
        plugin("security_validator", 1, required_headers=["x-ticket"]),
        plugin("rate_limiter", 2, limit=2, window="1h"),
    ]
    await ruled(declared, api, plugins=chain)
    assert [await code(declared) for _ in range(3)] == [400, 400, 400]
    assert [await code(declared, headers={"X-Ticket": "7"}) for _ in range(3)] == [200, 200, 429]


async def test_what_an_answer_must_not_say_is_replaced(declared: Declared, api: HttpApi) -> None:
    chain = [
        plugin("content_validator", stage="pre_response", deny_patterns=[r"\d{3}-\d{4}"], replacement="(n)")
    ]
    await ruled(declared, api, plugins=chain)
    api.says(body=b"call 555-1234 or 555-9999 now", headers={"Content-Type": "text/plain"})
    assert (await call(declared, "/weather")).text == "call (n) or (n) now"
    assert api.requests[-1].headers["accept-encoding"] == "identity"


async def test_what_a_tenant_requires_stands_in_front_of_every_rule_of_its(
    declared: Declared, api: HttpApi
) -> None:
    required = [
        plugin("security_validator", required_headers=["x-request-id"]),
        plugin("rate_limiter", limit=3, window="1h"),
    ]
    own = [plugin("security_validator", required_headers=["x-ticket"])]
    rules = [
        {
            "name": "one",
            "tenant": "acme",
            "path": "/one",
            "target": api.url,
            "access": "open",
            "plugins": own,
        },
        {"name": "two", "tenant": "acme", "path": "/two", "target": api.url, "access": "open"},
        {"name": "three", "path": "/three", "target": api.url, "access": "open"},
    ]
    tenants = [{"name": "acme", "required_plugins": required}]
    await declared.declare(rules=rules, tenants=tenants)

    async def answers(path: str, **headers: str) -> int:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return (await declared.client.get(path, headers=named)).status_code

    async def there() -> bool:
        return [await answers(path) for path in ("/one", "/two", "/three")] == [400, 400, 200]

    await until(there, "the three rules")
    assert await answers("/one", x_request_id="1") == 400
    assert await answers("/one", x_request_id="1", x_ticket="1") == 200
    assert [await answers("/two", x_request_id="1") for _ in range(4)] == [200, 200, 200, 429]


async def test_a_call_is_told_of_when_it_has_its_answer_whatever_became_of_it(
    declared: Declared, api: HttpApi
) -> None:
    chain = [
        plugin("security_validator", required_headers=["x-ticket"]),
        plugin("external_validator", stage="post_response", url="https://told.example", headers=["x-ticket"]),
    ]
    async with http_api() as service:
        service.says(status=204)
        await ruled(declared, api, plugins=chain, service=service.url, api_key="target-secret")
        service.requests.clear()
        api.says(status=404)
        headers = {"X-Ticket": "7", "X-Request-Id": "call-1"}
        assert await code(declared, headers=headers) == 404
        assert await code(declared, headers={"X-Request-Id": "call-2"}) == 400
        found: dict[str, Any] = {}

        async def both() -> bool:
            said = [json.loads(one.body) for one in service.requests]
            found.update({one["request_id"]: one for one in said if "request_id" in one})
            return {"call-1", "call-2"} <= found.keys()

        await until(both, "what is told of both calls")
        (asked,) = [one for one in service.requests if b'"call-1"' in one.body]
        told = found["call-1"]
        # An APISIX writes the mark of a query behind every address.
        assert (asked.method, asked.target.rstrip("?").rpartition("/")[2]) == ("POST", "finished")
        assert asked.headers["authorization"] == f"Bearer {PROOF}"
        assert [told[name] for name in ("method", "uri", "client_ip")] == ["GET", "/weather", "127.0.0.1"]
        assert [int(found[name]["status"]) for name in ("call-1", "call-2")] == [404, 400]
        assert float(told["latency_s"]) >= 0
        assert float(told["at"]) > 1e9
        assert told["headers"] == {"x-ticket": "7"}
        assert not any(text in str(service.requests) for text in ("target-secret", "sk-contract"))
