"""What the compiler makes does on a gateway what was declared: on our own, and on a real APISIX."""

import asyncio

from tests.contract.declared import CHAT, HELLO, OTHER, WEB, Declared, unique
from tests.fixtures.services import until


async def test_one_budget_over_every_address(declared: Declared) -> None:
    await declared.declare(unique([{"tokens": 50, "per": "1h"}]))
    await declared.ready(CHAT)
    calls = [
        await declared.call(CHAT),
        await declared.call("/v1/chat/completions/queue/support"),
        await declared.call("/v1/chat/completions/queue/support/main"),
        await declared.call("/v1/chat/completions", {**HELLO, "model": "support"}),
        await declared.call("/queues/support/v1/messages", {**HELLO, "model": "x", "max_tokens": 5}),
        await declared.call("/queues/support/v1/embeddings", {"model": "x", "input": "hi"}),
    ]
    assert [reply.status_code for reply in calls] == [200, 200, 200, 200, 200, 429]
    rejected = calls[-1]
    assert rejected.json()["error"]["code"] == "rate_limit_exceeded"
    assert rejected.headers["content-type"] == "application/json"
    assert 3590 <= int(rejected.headers["retry-after"]) <= 3600
    assert int(rejected.headers["retry-after-ms"]) <= 3600_000


async def test_a_raised_limit_keeps_what_was_used(declared: Declared) -> None:
    limited = unique([{"tokens": 20, "per": "1h"}])
    await declared.declare(limited)
    await declared.ready(CHAT)
    assert [(await declared.call(CHAT)).status_code for _ in range(3)] == [200, 200, 429]
    await declared.declare({**limited, "limits": [{"tokens": 100, "per": "1h"}]})

    async def raised() -> bool:
        return (await declared.call(CHAT, X_Mock_Usage="1")).status_code == 200

    await until(raised, "the raised limit")
    reply = await declared.call(CHAT)
    assert int(reply.headers["X-AI-queue-RateLimit-Remaining"]) <= 79


async def test_a_client_cannot_count_into_a_scope_of_its_own(declared: Declared) -> None:
    await declared.declare(unique([{"tokens": 30, "per": "1h"}]))
    await declared.ready(CHAT)
    spoofs: list[dict[str, str]] = [
        {"X_Sluice_Scope_Queue": "mine", "X_Sluice_Limit_Queue": "999999"},
        {"X__Sluice__Scope__Queue": "mine", "X__Sluice__Limit__Queue": "999999"},
        {"X_Sluice__Scope_Queue": "mine", "x__sluice_levels": "0"},
        {"X_Sluice_Window_Queue": "1"},
    ]
    assert [(await declared.call(CHAT, **spoof)).status_code for spoof in spoofs] == [200, 200, 200, 429]


async def test_each_key_and_each_header_value_has_its_own_budget(declared: Declared) -> None:
    limits = [{"tokens": 1000, "per": "1h"}, {"tokens": 10, "per": "1h", "by": "header:x-team-id"}]
    await declared.declare(unique(limits))
    await declared.ready(CHAT)
    assert [(await declared.call(CHAT, X_Team_Id=team)).status_code for team in ("a", "b", "a")] == [
        200,
        200,
        429,
    ]
    assert [(await declared.call(CHAT)).status_code for _ in range(2)] == [200, 429]


async def test_only_the_queue_s_keys_come_in_and_none_is_passed_on(declared: Declared) -> None:
    await declared.declare(unique([]))
    await declared.ready(CHAT)
    assert (await declared.call(CHAT, key=None)).status_code == 401
    assert (await declared.call(CHAT, key="sk-guess")).status_code == 401
    assert (await declared.call(CHAT, key=OTHER)).status_code == 403
    proofs = {"x_api_key": WEB, "Authorization": "Bearer something", "Cookie": "a=b", "X__Api__Key": WEB}
    reply = await declared.call(CHAT, key=None, **proofs, Proxy__Authorization="Basic eA==")
    assert reply.status_code == 200
    seen = dict(declared.target.mock.requests[-1].headers)
    assert seen["authorization"] == "Bearer sk-provider"
    assert WEB not in str(seen)
    assert "proxy_authorization" not in seen
    assert not {"cookie", "x-api-key", "x-consumer-username", "x-credential-identifier"} & set(seen)


async def test_members_budgets_fall_back_and_then_are_a_429(declared: Declared) -> None:
    limit = [{"tokens": 10, "per": "1h"}]
    members = [
        {"name": name, "provider": "openai-main", "model": name, "priority": priority, "limits": limit}
        for name, priority in (("first", 1), ("second", 0))
    ]
    await declared.declare(unique([], members=members, fallback=["rate_limiting"]))
    await declared.ready(CHAT)
    replies = [await declared.call(CHAT) for _ in range(3)]
    assert [reply.status_code for reply in replies] == [200, 200, 429]
    assert [reply.json()["model"] for reply in replies[:2]] == ["first", "second"]
    assert replies[2].json()["error"]["type"] == "rate_limit_exceeded"
    assert int(replies[2].headers["retry-after"]) > 3500
    by_name = await declared.call("/v1/chat/completions/queue/support/first")
    assert by_name.status_code == 429


async def test_requests_per_window_are_counted_over_all_addresses(declared: Declared) -> None:
    await declared.declare(unique([{"requests": 2, "per": "1h", "by": "key"}]))
    await declared.ready(CHAT)
    paths = (CHAT, "/v1/chat/completions/queue/support", CHAT)
    replies = [await declared.call(path) for path in paths]
    assert [reply.status_code for reply in replies] == [200, 200, 429]
    assert int(replies[2].headers["retry-after"]) > 3500


async def test_no_more_calls_at_a_time_than_declared(declared: Declared) -> None:
    await declared.declare(unique([{"concurrency": 2}]))
    await declared.ready(CHAT)
    slow = [declared.call(CHAT, X_Mock_Latency_Ms="800") for _ in range(4)]
    replies = await asyncio.gather(*slow)
    assert sorted(reply.status_code for reply in replies) == [200, 200, 429, 429]
    rejected = next(reply for reply in replies if reply.status_code == 429)
    assert rejected.headers["retry-after"] == "1"
    assert rejected.json()["error"]["code"] == "rate_limit_exceeded"
    assert (await declared.call(CHAT)).status_code == 200


async def test_a_bucket_of_requests_lets_through_what_it_holds(declared: Declared) -> None:
    await declared.declare(unique([{"requests": 3, "refill_per_s": 0.01}]))
    await declared.ready(CHAT)
    assert [(await declared.call(CHAT)).status_code for _ in range(4)] == [200, 200, 200, 429]


async def test_a_provider_s_own_429_is_left_as_it_is(declared: Declared) -> None:
    await declared.declare(unique([{"tokens": 1000, "per": "1h"}]))
    await declared.ready(CHAT)
    reply = await declared.call(CHAT, X_Mock_Status="429")
    assert reply.status_code == 429
    assert reply.json()["error"].get("code") != "rate_limit_exceeded"
