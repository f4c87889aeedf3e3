"""token-budget: all limits of a call in one reservation, settled to the truth."""

import asyncio
import random
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.bench.strict import CAP, CASES, admitted
from tests.bench.traffic.rig import CHAT as CHAT_OF_BENCH
from tests.fixtures.services import until
from tests.integration.fallback.conftest import CHAT, HELLO, Bench, running
from tests.integration.fallback.redis_options import options_of
from tests.integration.fallback.test_disconnects import leave_early
from tests.integration.fallback.test_redis import line_to

Shape = dict[str, Any]


def tokens(amount: int, **more: Any) -> Shape:
    pace = {} if {"refill_per_s", "period"} & set(more) else {"window_s": 60}
    return {"name": more.pop("name", "queue"), "meter": "tokens", "amount": amount, **pace, **more}


def budget(*limits: Shape, **more: Any) -> Shape:
    return {"token-budget": {"limits": list(limits), **more}}


async def statuses(bench: Bench, times: int, **headers: str) -> list[int]:
    return [(await bench.call(**headers)).status_code for _ in range(times)]


@pytest.fixture(params=["local", "redis"])
def policy(request: pytest.FixtureRequest, valkey_url: str) -> Shape:
    return {"policy": "local"} if request.param == "local" else options_of(valkey_url, policy="redis")


async def outstanding(bench: Bench, policy: Shape) -> int:
    limiters = bench.gateway.services.limiters
    shared = list(limiters._shared.values())
    limiter = shared[0] if policy["policy"] == "redis" else limiters.of(None)
    return await limiter.outstanding()


async def test_a_window_is_charged_what_calls_used_and_then_refuses(bench: Bench, policy: Shape) -> None:
    await bench.route(budget(tokens(30, title="queue support: 30 tokens per 1m"), **policy))
    assert await statuses(bench, 3) == [200, 200, 200]
    refused = await bench.call()
    assert refused.status_code == 429
    error = refused.json()["error"]
    assert (error["scope"], error["limit"], error["used"], error["reserved"], error["retry"]) == (
        "queue support: 30 tokens per 1m",
        30,
        30,
        0,
        True,
    )
    assert 0 < int(refused.headers["retry-after"]) <= 60
    assert 0 < int(refused.headers["retry-after-ms"]) <= 60_001
    assert len(bench.mock.requests) == 3


async def test_the_headers_say_where_each_limit_stands(bench: Bench, policy: Shape) -> None:
    await bench.route(budget(tokens(5000), tokens(9000, name="day", window_s=86400), **policy))
    await bench.call()
    second = await bench.call()
    assert second.headers["x-ai-1-ratelimit-limit"] == "5000"
    assert int(second.headers["x-ai-1-ratelimit-remaining"]) <= 5000 - 10
    assert second.headers["x-ai-2-ratelimit-limit"] == "9000"


async def test_a_cap_that_only_fills_a_gap_is_what_an_answer_is_expected_to_have(bench: Bench) -> None:
    member = bench.instance()
    member["override"]["request_body"] = {"openai-chat": {"max_completion_tokens": 900}}
    await bench.route({"ai-proxy-multi": {"instances": [member]}, **budget(tokens(1000))})
    reply = await bench.call()
    assert 0 < int(reply.headers["x-ai-1-ratelimit-remaining"]) <= 100


async def test_all_limits_are_taken_or_none(bench: Bench, policy: Shape) -> None:
    by_team = tokens(10, name="team", by=["$http_x_team_id"])
    await bench.route(budget(tokens(1000), by_team, **policy))
    assert await statuses(bench, 3, x_team_id="red") == [200, 429, 429]
    answer = await bench.call(x_team_id="blue")
    assert answer.status_code == 200
    await until(lambda: _is_zero(bench, policy), "no reservation is left")
    assert answer.json()["usage"]["total_tokens"] == 10
    raised = tokens(20, name="team", by=["$http_x_team_id"])
    await bench.route(budget(tokens(1000), raised, **policy))
    again = await bench.call(x_team_id="red")
    used = 1000 - int(again.headers["x-ai-1-ratelimit-remaining"])
    assert used >= 20, "the refused calls of red have taken nothing, the two that went through have"


async def _is_zero(bench: Bench, policy: Shape) -> bool:
    return await outstanding(bench, policy) == 0


async def test_calls_without_the_header_share_one_counter_or_are_not_counted(bench: Bench) -> None:
    await bench.route(budget(tokens(10, by=["$http_x_team_id"])))
    assert await statuses(bench, 2) == [200, 429]
    await bench.route(budget(tokens(10, name="other", by=["$http_x_team_id"], absent="skip")))
    assert await statuses(bench, 3) == [200, 200, 200]


async def test_a_raised_limit_keeps_what_was_used(bench: Bench, policy: Shape) -> None:
    await bench.route(budget(tokens(20), **policy))
    assert await statuses(bench, 3) == [200, 200, 429]
    await bench.route(budget(tokens(30), **policy))
    assert await statuses(bench, 2) == [200, 429]


@pytest.mark.parametrize(
    "pace",
    [{"refill_per_s": 0.001}, {"mode": "sliding"}, {"period": "month"}],
    ids=lambda pace: next(iter(pace)),
)
async def test_every_kind_of_window_counts(bench: Bench, policy: Shape, pace: Shape) -> None:
    await bench.route(budget(tokens(20, **pace), **policy))
    assert await statuses(bench, 3) == [200, 200, 429]


async def test_members_and_levels_are_held_together(bench: Bench, policy: Shape) -> None:
    members = [bench.instance("first", priority=10), bench.instance("second", priority=0)]
    pool = {"ai-proxy-multi": {"instances": members}}
    limits = [
        tokens(50),
        tokens(10, name="first", member="first", then="fallback"),
        tokens(20, name="second", member="second", then="fallback"),
    ]
    await bench.route({**pool, **budget(*limits, **policy)})
    assert await statuses(bench, 4) == [200, 200, 200, 429]
    served = [request.path.split("/")[1] for request in bench.mock.requests]
    assert served == ["first", "second", "second"]
    reply = await bench.call()
    assert reply.json()["error"]["scope"] in ("first", "second")


async def test_a_limit_of_everybody_is_no_reason_to_try_another_member(bench: Bench) -> None:
    members = [bench.instance("first", priority=10), bench.instance("second", priority=0)]
    limits = [tokens(10), tokens(1000, name="first", member="first", then="fallback")]
    await bench.route({"ai-proxy-multi": {"instances": members}, **budget(*limits)})
    assert await statuses(bench, 2) == [200, 429]
    assert len(bench.mock.requests) == 1


async def test_what_a_failing_member_has_not_used_is_given_back(bench: Bench, policy: Shape) -> None:
    members = [bench.instance("first", priority=10), bench.instance("second", priority=0)]
    pool = {"ai-proxy-multi": {"instances": members, "fallback_strategy": ["http_5xx"]}}
    bench.mock.set_defaults(prefix="/first", status=500)
    limits = [tokens(20), tokens(10, name="first", member="first")]
    await bench.route({**pool, **budget(*limits, **policy)})
    assert await statuses(bench, 3) == [200, 200, 429]
    await until(lambda: _is_zero(bench, policy), "no reservation is left")


async def test_a_strict_limit_is_never_overshot_and_gives_back_what_was_not_used(
    bench: Bench, policy: Shape
) -> None:
    strict = tokens(4000, strict=True, window_s=3600)
    await bench.route(budget(strict, output_cap=64, **policy))

    async def one() -> httpx.Response:
        while (reply := await bench.call()).status_code == 429:
            if reply.json()["error"]["used"] + 400 > 4000:
                return reply
            await asyncio.sleep(0.01)
        return reply

    async def many() -> int:
        done = 0
        while (await one()).status_code == 200:
            done += 1
        return done

    async with asyncio.timeout(60):
        calls = sum(await asyncio.gather(*(many() for _ in range(8))))
    assert 4000 * 0.85 <= calls * 10 <= 4000


async def test_a_strict_limit_caps_answers_that_nobody_else_has_capped(bench: Bench) -> None:
    await bench.route(budget(tokens(100_000, strict=True), output_cap=64))
    assert (await bench.call()).status_code == 200
    assert (await bench.call(body={**HELLO, "max_tokens": 5})).status_code == 200
    assert (await bench.call(body={**HELLO, "max_tokens": 5000})).status_code == 200
    sent = [request.body for request in bench.mock.requests]
    assert [one.get("max_completion_tokens", one.get("max_tokens")) for one in sent] == [64, 5, 64]


async def test_a_strict_limit_refuses_what_has_no_upper_bound(bench: Bench) -> None:
    await bench.route(budget(tokens(100_000, strict=True)))
    refused = await bench.call()
    assert refused.status_code == 400
    assert "max_tokens" in refused.json()["error"]["message"]


async def test_a_call_that_can_never_fit_is_no_429(bench: Bench, policy: Shape) -> None:
    await bench.route(budget(tokens(100, strict=True), output_cap=64, **policy))
    body = {"messages": [{"role": "user", "content": "x" * 500}]}
    refused = await bench.call(body=body)
    assert refused.status_code == 400
    assert refused.json()["error"]["retry"] is False
    assert refused.headers["x-should-retry"] == "false"
    assert "retry-after" not in refused.headers


async def test_slots_are_held_to_the_end_of_a_stream_and_not_longer(bench: Bench, policy: Shape) -> None:
    slots = {"name": "slots", "meter": "concurrency", "amount": 1}
    await bench.route(budget(slots, **policy))
    body = {**HELLO, "stream": True}
    headers = {"X-Mock-Chunks": "200", "X-Mock-Chunk-Delay-Ms": "20"}
    async with bench.client.stream("POST", CHAT, json=body, headers=headers) as first:
        assert first.status_code == 200
        await anext(first.aiter_bytes())
        assert (await bench.call()).status_code == 429

    async def is_free() -> bool:
        return (await bench.call()).status_code == 200

    await until(is_free, "the slot is free")


async def test_clients_that_leave_are_charged_what_was_produced_and_hold_nothing(
    bench: Bench, policy: Shape
) -> None:
    members = {"ai-proxy-multi": {"instances": [bench.instance(options={"model": "counts-words"})]}}
    limits = [
        tokens(10**9, window_s=3600),
        {"name": "slots", "meter": "concurrency", "amount": 1000},
    ]
    await bench.route({**members, **budget(*limits, **policy)})
    chance, gate = random.Random(11), asyncio.Semaphore(10)

    async def one() -> None:
        async with gate:
            await leave_early(bench, chance)

    await asyncio.gather(*(one() for _ in range(40)))
    await until(lambda: _settled(bench, policy), "every stream is over and settled")
    produced = sum(left.prompt_tokens + left.completion_tokens for left in bench.mock.disconnects)
    shown = await bench.call(X_Mock_Usage="1,1")
    remaining = int(shown.headers["x-ai-1-ratelimit-remaining"])
    reserved = 10**9 - remaining - produced
    assert len(bench.mock.disconnects) == 40
    assert 0 < reserved <= 2000, "the call that asks reserves its own estimate and nothing else"


async def _settled(bench: Bench, policy: Shape) -> bool:
    busy = bench.mock.counters.streams_open or bench.gateway.services.pool.open_connections
    return not busy and await outstanding(bench, policy) == 0


@pytest.mark.parametrize(
    ("how", "status", "header"),
    [("fail_open", 200, "fail_open"), ("local", 200, "local"), ("fail_closed", 503, "fail_closed")],
)
async def test_without_redis_each_limit_does_what_it_was_told(
    bench: Bench, valkey_url: str, how: str, status: int, header: str
) -> None:
    async with line_to(valkey_url) as line:
        options = options_of(valkey_url, policy="redis", redis_port=line.port, redis_timeout=300)
        await bench.route(budget(tokens(30, on_outage=how), **options))
        assert (await bench.call()).status_code == 200
        await line.cut()
        during = await bench.call()
        assert (during.status_code, during.headers["x-sluice-degraded"]) == (status, header)
        metrics = (await bench.admin.get("/apisix/prometheus/metrics")).text
        assert f'apisix_token_budget_degraded_total{{how="{how}"}} 1' in metrics
        await line.mend()

        async def healed() -> bool:
            reply = await bench.call()
            return "x-sluice-degraded" not in reply.headers and reply.status_code in (200, 429)

        await until(healed, "the counters are shared again")


async def test_two_gateways_share_the_counters(tmp_path: Path, valkey_url: str) -> None:
    options = options_of(valkey_url, policy="redis")
    async with AsyncExitStack() as stack:
        benches = [await stack.enter_async_context(running(tmp_path / name)) for name in ("a", "b")]
        for one in benches:
            await one.route(budget(tokens(30), **options))
        found = [(await benches[number % 2].call()).status_code for number in range(4)]
    assert found == [200, 200, 200, 429]


@pytest.mark.parametrize(
    ("limit", "problem"),
    [
        ({"name": "a", "meter": "tokens", "amount": 1}, "exactly one of"),
        ({"name": "a", "meter": "concurrency", "amount": 1, "window_s": 1}, "none of"),
        (tokens(1, refill_per_s=1, mode="sliding"), "sliding"),
        (tokens(1, then="fallback"), "member"),
        (tokens(1, period="day", time_zone="Mars/Olympus"), "time_zone"),
        ({"name": "a", "meter": "dollars", "amount": 1, "window_s": 1}, "meter"),
        ({"name": "a", "meter": "tokens", "amount": 0, "window_s": 1}, "amount"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_configuration_that_cannot_work_is_refused(bench: Bench, limit: Shape, problem: str) -> None:
    members = {"ai-proxy-multi": {"instances": [bench.instance()]}}
    reply = await bench.put(
        "routes/bad", {"uri": "/bad", "plugins": {**members, **budget(limit)}}, status=400
    )
    assert problem in reply.text


async def test_its_schema_is_published_and_its_password_is_not(
    bench: Bench, valkey_url: str, tmp_path: Path
) -> None:
    schema = (await bench.admin.get("/apisix/admin/schema/plugins/token-budget")).json()
    assert schema["properties"]["limits"]["items"]["required"] == ["name", "meter", "amount"]
    assert "token-budget" in (await bench.admin.get("/apisix/admin/plugins/list")).json()
    options = options_of(valkey_url, policy="redis", redis_password="canary-of-redis")
    await bench.route(budget(tokens(1), **options))
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"token-budget" in kept
    assert b"canary-of-redis" not in kept


async def test_a_strict_limit_holds_over_two_gateways(tmp_path: Path, valkey_url: str) -> None:
    options = options_of(valkey_url, policy="redis")
    strict = tokens(20_000, window_s=3600, strict=True, by=["$http_x_window"])
    async with AsyncExitStack() as stack:
        benches = [await stack.enter_async_context(running(tmp_path / name)) for name in ("a", "b")]
        for one in benches:
            await one.route(budget(strict, output_cap=CAP, **options), uri=CHAT_OF_BENCH)
        ports = [int(one.gateway.url.rpartition(":")[2]) for one in benches]
        for case in CASES:
            (spent,) = await admitted(ports, case, windows=1, callers=16)
            assert 0.94 * 20_000 <= spent <= 20_000, case.name


def read_bucket(**more: Any) -> Shape:
    """A bucket whose size and pace stand in headers."""
    shape = {"amount": "${http_x_capacity ?? 1}", "refill_per_s": "${http_x_refill ?? 0.001}"}
    return {"name": "read", "meter": "tokens", "by": ["$http_x_team_id"], "absent": "skip", **shape, **more}


async def test_a_bucket_is_as_large_as_each_call_says_and_keeps_its_count(
    bench: Bench, policy: Shape
) -> None:
    await bench.route(budget(read_bucket(), **policy))
    assert await statuses(bench, 3, x_team_id="red", x_capacity="20") == [200, 200, 429]
    assert await statuses(bench, 2, x_team_id="red", x_capacity="30") == [200, 429]
    assert await statuses(bench, 1, x_capacity="1") == [200], "nobody's call is not counted"


async def test_a_size_that_is_no_number_lets_nothing_through(bench: Bench) -> None:
    await bench.route(budget(read_bucket()))
    assert await statuses(bench, 1, x_team_id="red", x_capacity="lots") == [500]


async def test_only_buckets_read_their_size(bench: Bench) -> None:
    window = {**tokens(20), "amount": "${http_x_capacity ?? 1}"}
    with pytest.raises(AssertionError, match="bucket"):
        await bench.route(budget(window))
