"""Pools of members: whose turn it is, and who is asked after a failure."""

import asyncio
import socket
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from controlplane.clock import ManualClock
from tests.integration.fallback.conftest import CHAT, Bench, running

NOBODY = {"main": 0, "standby": 0}


def nobody_listens() -> str:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{server.getsockname()[1]}/v1/chat/completions"


async def pool(bench: Bench, *instances: dict[str, Any], **options: Any) -> None:
    plugins = {"ai-proxy-multi": {"instances": list(instances), **options}}
    await bench.put("routes/r1", {"uri": CHAT, "plugins": plugins})


def asked(bench: Bench) -> Counter[str]:
    """How often each member was asked, by the first part of its path."""
    return Counter(seen.path.split("/")[1] for seen in bench.mock.requests)


def fails(bench: Bench, member: str, status: int, **controls: Any) -> None:
    bench.mock.set_defaults(prefix=f"/{member}/", status=status, **controls)


async def test_weights_share_the_calls(bench: Bench) -> None:
    await pool(bench, bench.instance("main", weight=3), bench.instance("standby", weight=1))
    for _ in range(40):
        assert (await bench.call()).status_code == 200
    assert asked(bench) == {"main": 30, "standby": 10}


async def test_an_edit_elsewhere_does_not_change_whose_turn_it_is(bench: Bench) -> None:
    await pool(bench, bench.instance("main"), bench.instance("standby"))
    for number in range(10):
        await bench.call()
        await bench.put("services/s1", {"name": f"edit-{number}"})
    assert asked(bench) == {"main": 5, "standby": 5}


async def test_a_lower_priority_is_asked_only_when_a_higher_one_fails(bench: Bench) -> None:
    main, standby = bench.instance("main", priority=1), bench.instance("standby", priority=0)
    await pool(bench, main, standby, fallback_strategy=["http_429"])
    for _ in range(4):
        await bench.call()
    assert asked(bench) == {"main": 4}
    fails(bench, "main", 429)
    assert (await bench.call()).status_code == 200
    assert asked(bench) == {"main": 5, "standby": 1}


@pytest.mark.parametrize(
    ("status", "strategy", "answer"),
    [
        (429, ["http_429"], 200),
        (429, ["http_5xx"], 429),
        (503, ["http_5xx"], 200),
        (503, ["http_429"], 503),
        (500, [], 500),
        (400, ["http_429", "http_5xx"], 400),
    ],
)
async def test_only_the_failures_of_the_strategy_move_a_call_on(
    bench: Bench, status: int, strategy: list[str], answer: int
) -> None:
    await pool(
        bench,
        bench.instance("main", priority=1),
        bench.instance("standby"),
        fallback_strategy=strategy,
    )
    fails(bench, "main", status)
    assert (await bench.call()).status_code == answer


async def test_a_member_that_cannot_be_reached_counts_as_a_failure_of_the_server(bench: Bench) -> None:
    gone = bench.instance("main", priority=1, override={"endpoint": nobody_listens()})
    await pool(bench, gone, bench.instance("standby"), fallback_strategy=["http_5xx"])
    reply = await bench.call()
    assert reply.status_code == 200
    await pool(bench, gone, bench.instance("standby"))
    reply = await bench.call()
    assert (reply.status_code, reply.headers["x-apisix-upstream-status"]) == (500, "500")


async def test_a_member_that_is_too_slow_is_a_time_out(bench: Bench) -> None:
    await pool(bench, bench.instance("main"), timeout=100)
    reply = await bench.call(X_Mock_Latency_Ms="2000")
    assert reply.status_code == 504


async def test_when_all_members_fail_the_last_answer_goes_out_as_a_bad_gateway(bench: Bench) -> None:
    await pool(
        bench,
        bench.instance("main", priority=1),
        bench.instance("standby"),
        fallback_strategy=["http_5xx"],
    )
    reply = await bench.call(X_Mock_Status="503")
    assert reply.status_code == 502
    assert reply.headers["x-apisix-upstream-status"] == "503, 503"
    assert asked(bench) == {"main": 1, "standby": 1}


async def test_retries_can_be_limited(bench: Bench) -> None:
    members = [bench.instance(name) for name in ("one", "two", "three")]
    await pool(bench, *members, fallback_strategy=["http_5xx"], max_retries=1)
    assert (await bench.call(X_Mock_Status="503")).status_code == 503
    assert sum(asked(bench).values()) == 2


async def test_a_failure_that_took_too_long_is_not_tried_again(bench: Bench) -> None:
    members = [bench.instance(name) for name in ("one", "two")]
    await pool(bench, *members, fallback_strategy=["http_5xx"], retry_on_failure_within_ms=1)
    assert (await bench.call(X_Mock_Status="503", X_Mock_Latency_Ms="30")).status_code == 503
    assert sum(asked(bench).values()) == 1


async def test_a_stream_that_fails_before_its_first_event_is_answered_by_another_member(bench: Bench) -> None:
    await pool(
        bench,
        bench.instance("main", priority=1),
        bench.instance("standby"),
        fallback_strategy=["http_5xx"],
    )
    fails(bench, "main", 503)
    reply = await bench.call(body={"messages": [{"role": "user", "content": "hi"}], "stream": True})
    assert reply.status_code == 200
    assert "[DONE]" in reply.text


async def test_a_consistent_hash_keeps_a_caller_with_its_member(bench: Bench) -> None:
    members = [bench.instance(name) for name in ("one", "two", "three")]
    balancer = {"algorithm": "chash", "hash_on": "header", "key": "X-User"}
    await pool(bench, *members, balancer=balancer)
    chosen = {}
    for user in map(str, range(12)):
        bench.mock.forget()
        for _ in range(3):
            await bench.call(X_User=user)
        seen = asked(bench)
        assert len(seen) == 1
        chosen[user] = next(iter(seen))
    assert set(chosen.values()) == {"one", "two", "three"}


async def test_a_member_that_keeps_failing_cools_down_and_comes_back(tmp_path: Path) -> None:
    clock = ManualClock()
    async with running(tmp_path / "gateway", clock=clock) as bench:
        await pool(
            bench,
            bench.instance("main", priority=1),
            bench.instance("standby"),
            fallback_strategy=["http_5xx"],
            cool_down={"failures": 2, "seconds": 30},
        )
        fails(bench, "main", 503)
        for _ in range(5):
            assert (await bench.call()).status_code == 200
        assert asked(bench) == {"main": 2, "standby": 5}
        bench.mock.clear_defaults()
        clock.advance(31)
        assert (await bench.call()).status_code == 200
        assert asked(bench) == {"main": 3, "standby": 5}


async def test_a_member_that_says_when_to_come_back_cools_down_at_once(bench: Bench) -> None:
    await pool(
        bench,
        bench.instance("main", priority=1),
        bench.instance("standby"),
        fallback_strategy=["http_429"],
        cool_down={},
    )
    fails(bench, "main", 429, retry_after=60)
    for _ in range(3):
        assert (await bench.call()).status_code == 200
    assert asked(bench) == {"main": 1, "standby": 3}


async def test_members_that_cool_down_are_still_asked_when_nobody_else_is_left(bench: Bench) -> None:
    await pool(
        bench,
        bench.instance("main", priority=1),
        bench.instance("standby"),
        fallback_strategy=["http_5xx"],
        cool_down={"failures": 1},
    )
    fails(bench, "main", 503)
    await bench.call()
    bench.mock.clear_defaults()
    fails(bench, "standby", 503)
    assert (await bench.call()).status_code == 200


async def test_a_member_whose_health_check_fails_is_left_out_until_it_succeeds(bench: Bench) -> None:
    def checked(name: str) -> dict[str, Any]:
        active = {
            "http_path": f"/{name}/v1/models",
            "healthy": {"interval": 1, "successes": 1},
            "unhealthy": {"interval": 1, "http_failures": 1},
        }
        return bench.instance(name, checks={"active": active})

    await pool(bench, checked("main"), checked("standby"))
    fails(bench, "main", 500)

    async def chats() -> set[str]:
        before = len(bench.mock.requests)
        for _ in range(4):
            await bench.call()
        return {seen.path.split("/")[1] for seen in bench.mock.requests[before:] if "chat" in seen.path}

    async with asyncio.timeout(60):
        while await chats() != {"standby"}:
            await asyncio.sleep(0.05)
        bench.mock.clear_defaults()
        while await chats() != {"main", "standby"}:
            await asyncio.sleep(0.05)
