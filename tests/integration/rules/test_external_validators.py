"""External validators: asked over HTTP before a call goes on, whatever becomes of them."""

import json
from typing import Any

import httpx
import pytest

from tests.fixtures.http_api import Answer, Asked
from tests.integration.rules.conftest import Ruled

# Any: JSON.

BUSY: dict[str, Any] = {"status": 500}


def told(asked: Asked) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(asked.body)
    return value


async def test_a_validator_is_told_of_the_call_and_lets_it_go_on(ruled: Ruled) -> None:
    await ruled.rule(ruled.validator(settings={"headers": ["x-team"]}))
    headers = {"X-Team": "red", "Authorization": "Bearer secret-of-the-caller", "X-Other": "1"}
    reply = await ruled.traffic.get("/weather/rome?days=2", headers=headers)
    assert reply.status_code == 200
    (asked,) = ruled.validators[0].requests
    seen = told(asked)
    assert (asked.method, asked.target) == ("POST", "/ask")
    assert (seen["rule"], seen["method"], seen["uri"]) == ("weather", "GET", "/weather/rome?days=2")
    assert (seen["headers"], seen["client_ip"]) == ({"x-team": "red"}, "127.0.0.1")
    assert "body" not in seen
    assert "secret-of-the-caller" not in str(asked)


async def test_a_validator_that_refuses_answers_in_its_own_words(ruled: Ruled) -> None:
    await ruled.rule(ruled.validator())
    ruled.validators[0].says(status=422, body=b'{"why": "no"}', headers={"Retry-After": "7"})
    reply = await ruled.traffic.get("/weather")
    assert (reply.status_code, reply.json(), reply.headers["retry-after"]) == (422, {"why": "no"}, "7")
    assert ruled.target.requests == []


async def test_a_body_is_told_where_it_is_asked_for_and_reaches_the_target_all_the_same(ruled: Ruled) -> None:
    await ruled.rule(ruled.validator(0, settings={"send_body": True}), ruled.validator(1))
    reply = await ruled.traffic.post("/weather", content=b'{"city": "Rome"}')
    assert (reply.status_code, reply.json()["body"]) == (200, '{"city": "Rome"}')
    assert told(ruled.validators[0].requests[0])["body"] == '{"city": "Rome"}'
    assert "body" not in told(ruled.validators[1].requests[0])


@pytest.mark.parametrize("fail", ["closed", "open"])
@pytest.mark.parametrize("trouble", [BUSY, {"lost": True}, {"delay_s": 60}, {"status": 302}])
async def test_where_a_validator_says_nothing_the_rule_says_what_happens(
    ruled: Ruled, fail: str, trouble: dict[str, Any]
) -> None:
    await ruled.rule(ruled.validator(settings={"fail": fail, "timeout_ms": 300}))
    ruled.validators[0].says(**trouble)
    reply = await ruled.traffic.get("/weather")
    assert reply.status_code == (503 if fail == "closed" else 200)


async def test_parallel_validators_of_one_priority_are_asked_at_the_same_time(ruled: Ruled) -> None:
    both = [ruled.validator(number, parallel=True, settings={"timeout_ms": 20_000}) for number in (0, 1)]
    await ruled.rule(*both)

    def when_both_are_asked(number: int) -> Any:
        def answer(_: Asked) -> Answer:
            # The first is answered only once the second has been asked too.
            return Answer(until=lambda: bool(ruled.validators[1 - number].requests))

        return answer

    for number in (0, 1):
        ruled.validators[number].answer = when_both_are_asked(number)
    assert (await ruled.traffic.get("/weather")).status_code == 200


async def test_validators_that_are_not_parallel_are_asked_one_after_the_other(ruled: Ruled) -> None:
    await ruled.rule(ruled.validator(0, priority=2), ruled.validator(1, priority=1))
    ruled.validators[1].says(status=403)
    assert (await ruled.traffic.get("/weather")).status_code == 403
    assert ruled.validators[0].requests == []


async def test_validators_stand_before_the_rate_limiter_or_after_it_as_their_priority_says(
    ruled: Ruled,
) -> None:
    limiter = {"name": "rate_limiter", "priority": 5, "settings": {"limit": 1, "window": "1h"}}
    ruled.validators[0].says(status=403)
    await ruled.rule(ruled.validator(priority=1), limiter)
    assert [(await ruled.traffic.get("/weather")).status_code for _ in range(3)] == [403, 403, 403]
    await ruled.rule(ruled.validator(priority=9), limiter)
    assert [(await ruled.traffic.get("/weather")).status_code for _ in range(3)] == [403, 429, 429]


async def test_a_validator_that_the_tenant_requires_is_asked_first(ruled: Ruled) -> None:
    tenants = [{"name": "acme", "required_plugins": [ruled.validator(1, priority=900)]}]
    rule = {"name": "own", "tenant": "acme", "path": "/own", "target": ruled.target.url, "access": "open"}
    await ruled.declare(tenants=tenants, rules=[{**rule, "plugins": [ruled.validator(0, priority=1)]}])
    ruled.validators[1].says(status=451)
    assert (await ruled.traffic.get("/own")).status_code == 451
    assert ruled.validators[0].requests == []
    assert told(ruled.validators[1].requests[0])["tenant"] == "acme"


async def test_nobody_but_a_gateway_makes_the_service_ask(ruled: Ruled) -> None:
    await ruled.rule(ruled.validator())
    objects = await ruled.world.objects()
    conf = objects["plugin_configs/r.weather"]["plugins"]["forward-auth"]
    token = {"X-Sluice-Validation": conf["extra_headers"]["X-Sluice-Validation"]}
    other = (
        conf["uri"].replace("/validate", "").rpartition("/")[0]
        + "/00000000-0000-0000-0000-000000000000/validate"
    )
    async with httpx.AsyncClient() as somebody:
        assert (await somebody.get(conf["uri"])).status_code == 401
        assert (await somebody.get(conf["uri"], headers={"X-Sluice-Validation": "x"})).status_code == 401
        assert (await somebody.get(other, headers=token)).status_code == 401
        assert ruled.validators[0].requests == []
        assert (await somebody.get(conf["uri"], headers=token)).status_code == 204


async def test_the_gateway_s_proof_is_shown_to_nobody(ruled: Ruled) -> None:
    await ruled.rule(ruled.validator())
    objects = await ruled.world.objects()
    conf = objects["plugin_configs/r.weather"]["plugins"]["forward-auth"]
    token = conf["extra_headers"]["X-Sluice-Validation"]
    async with ruled.world.api() as api:
        for path in (
            "rules/weather",
            "rules/weather/objects",
            "gateways/edge/objects",
            "drift",
            "audit",
            "export",
        ):
            reply = await api.get(f"/api/v1/{path}")
            assert (reply.status_code, token in reply.text) == (200, False)


async def test_a_rule_that_could_be_asked_for_too_long_is_refused(ruled: Ruled) -> None:
    slow = [ruled.validator(settings={"timeout_ms": 30_000}) for _ in range(2)]
    async with ruled.world.api() as api:
        rule = {"name": "slow", "path": "/slow", "target": ruled.target.url, "plugins": slow}
        reply = await api.post("/api/v1/plan", json={"source": "team", "rules": [rule]})
    assert "60000 ms" in reply.text


async def test_the_target_s_key_reaches_the_target_alone(ruled: Ruled) -> None:
    await ruled.rule(ruled.validator(), api_key="Bearer target-key-0099")
    reply = await ruled.traffic.get("/weather", headers={"Authorization": "Bearer mine"})
    assert reply.json()["headers"]["authorization"] == "Bearer target-key-0099"
    assert "target-key-0099" not in str(ruled.validators[0].requests)
    async with ruled.world.api() as api:
        shown = (await api.get("/api/v1/rules/weather")).json()
        listed = [await api.get(f"/api/v1/{path}") for path in ("audit", "export", "rules", "revisions")]
    assert shown["api_key"] == "***"
    assert not any("target-key-0099" in one.text for one in listed)
