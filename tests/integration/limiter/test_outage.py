"""What happens while Redis is away, and after."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from controlplane.errors import Unavailable
from controlplane.limiter import (
    Concurrency,
    FixedWindow,
    Granted,
    Limit,
    OnOutage,
    Outcome,
    RedisLimiter,
    Rejected,
)
from tests.fixtures.free_ports import free_ports
from tests.fixtures.own_valkey import OwnValkey, eventually, own_valkeys

OPEN = Limit("open", FixedWindow(10, per=3600), on_outage=OnOutage.FAIL_OPEN)
CLOSED = Limit("closed", FixedWindow(10, per=3600), on_outage=OnOutage.FAIL_CLOSED)
LOCAL = Limit("local", FixedWindow(10, per=3600), on_outage=OnOutage.LOCAL)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[OwnValkey]:
    async with own_valkeys(tmp_path, 1) as (server,):
        yield server


@pytest.fixture
async def limiter(server: OwnValkey) -> AsyncIterator[RedisLimiter]:
    async with RedisLimiter(server.url, timeout=0.3) as limiter:
        assert await limiter.outstanding() == 0
        yield limiter


async def test_a_limit_that_fails_open_lets_calls_through_and_says_so(
    server: OwnValkey, limiter: RedisLimiter
) -> None:
    await server.kill()
    for _ in range(3):
        answer = await limiter.reserve([(OPEN, "k", 9)])
        assert isinstance(answer, Granted)
        assert [(done.limit.name, done.key, done.how) for done in answer.degraded] == [
            ("open", "k", OnOutage.FAIL_OPEN)
        ]
        assert await limiter.settle(answer, {"tokens": 5}) is Outcome.DONE
    assert limiter.health.degraded[OnOutage.FAIL_OPEN] == 3
    assert not limiter.health.reachable
    assert limiter.health.reason


async def test_a_limit_that_fails_closed_refuses_and_names_itself(
    server: OwnValkey, limiter: RedisLimiter
) -> None:
    await server.kill()
    answer = await limiter.reserve([(OPEN, "", 1), (CLOSED, "", 1), (LOCAL, "", 1)])
    assert isinstance(answer, Rejected)
    assert [done.limit.name for done in answer.unavailable] == ["closed"]
    assert answer.binding is None
    assert answer.retry_helps
    assert answer.retry_after == 1.0
    assert "closed: its counters cannot be reached" in str(answer)


async def test_a_limit_that_falls_back_on_itself_is_held_by_this_process_alone(
    server: OwnValkey, limiter: RedisLimiter
) -> None:
    await server.kill()
    held = await limiter.reserve([(LOCAL, "", 8), (OPEN, "", 100)], report=True)
    assert isinstance(held, Granted)
    assert [usage.left for usage in held.usage] == [2]
    refused = await limiter.reserve([(LOCAL, "", 8)])
    assert isinstance(refused, Rejected)
    assert refused.binding is not None
    assert refused.binding.reserved == 8
    assert await limiter.renew(held) is Outcome.DONE
    assert await limiter.settle(held, {"tokens": 1}) is Outcome.DONE
    assert await limiter.settle(held, {"tokens": 1}) is Outcome.REPEATED
    assert isinstance(await limiter.reserve([(LOCAL, "", 8)]), Granted)


async def test_it_heals_by_itself_also_when_redis_has_forgotten_the_script(
    server: OwnValkey, limiter: RedisLimiter
) -> None:
    await server.kill()
    assert isinstance(await limiter.reserve([(CLOSED, "", 1)]), Rejected)
    await server.start()

    async def granted() -> bool:
        return isinstance(await limiter.reserve([(CLOSED, "", 1)]), Granted)

    await eventually(granted)
    assert limiter.health.reachable
    assert limiter.health.reason is None
    assert limiter.health.losses == 1


async def test_a_script_that_redis_forgot_is_loaded_again_unnoticed(
    server: OwnValkey, limiter: RedisLimiter
) -> None:
    async with server.client() as client:
        await client.script_flush()
    answers = await asyncio.gather(*(limiter.reserve([(CLOSED, "", 1)]) for _ in range(20)))
    assert sum(isinstance(answer, Granted) for answer in answers) == 10
    assert limiter.health.losses == 0


async def test_a_settlement_waits_for_redis_to_come_back(server: OwnValkey, limiter: RedisLimiter) -> None:
    call = await limiter.reserve([(CLOSED, "", 10)])
    assert isinstance(call, Granted)
    server.hang()
    assert await limiter.settle(call, {"tokens": 4}) is Outcome.DEFERRED
    assert limiter.health.deferred == 1
    assert await limiter.settle(call, {"tokens": 4}) is Outcome.REPEATED
    server.go_on()

    async def settled() -> bool:
        return limiter.health.reachable and (await limiter.usage(CLOSED)).used == 4

    await eventually(settled)
    assert (await limiter.usage(CLOSED)).reserved == 0
    assert limiter.health.deferred == 0


async def test_a_settlement_whose_answer_was_lost_counts_once(
    server: OwnValkey, limiter: RedisLimiter
) -> None:
    """The server runs what it has read before it hung up on us."""
    call = await limiter.reserve([(CLOSED, "", 10)])
    assert isinstance(call, Granted)
    server.hang()
    settling = asyncio.ensure_future(limiter.settle(call, {"tokens": 4}))
    assert await settling is Outcome.DEFERRED
    server.go_on()

    async def no_more_waits() -> bool:
        return limiter.health.reachable and limiter.health.deferred == 0

    await eventually(no_more_waits)
    usage = await limiter.usage(CLOSED)
    assert (usage.used, usage.reserved) == (4, 0)
    assert await limiter.outstanding() == 0


async def test_a_redis_that_hangs_holds_nobody_up_for_longer_than_the_timeout(
    server: OwnValkey, limiter: RedisLimiter
) -> None:
    server.hang()
    answers = await asyncio.wait_for(
        asyncio.gather(*(limiter.reserve([(OPEN, "", 1)]) for _ in range(200))), timeout=10
    )
    assert all(isinstance(answer, Granted) and answer.degraded for answer in answers)
    with pytest.raises(Unavailable):
        await limiter.usage(OPEN)
    server.go_on()


async def test_a_redis_that_was_never_there_is_an_outage_too() -> None:
    async with RedisLimiter(f"redis://127.0.0.1:{free_ports(1)[0]}/0", timeout=0.3) as limiter:
        assert isinstance(await limiter.reserve([(CLOSED, "", 1)]), Rejected)
        assert isinstance(await limiter.reserve([(OPEN, "", 1)]), Granted)


async def test_a_wrong_password_is_an_outage_that_says_why(server: OwnValkey) -> None:
    async with server.client() as client:
        await client.config_set("requirepass", "right")
    async with RedisLimiter(server.url.replace("//", "//:wrong@"), timeout=0.3) as limiter:
        assert isinstance(await limiter.reserve([(CLOSED, "", 1)]), Rejected)
        assert "WRONGPASS" in str(limiter.health.reason)
        assert "wrong@" not in str(limiter.health.reason)


async def test_memory_that_has_run_out_is_an_outage_while_it_lasts(
    server: OwnValkey, limiter: RedisLimiter
) -> None:
    async with server.client() as client:
        await client.config_set("maxmemory", "1")
        assert isinstance(await limiter.reserve([(CLOSED, "", 1)]), Rejected)
        await client.config_set("maxmemory", "0")
    assert isinstance(await limiter.reserve([(CLOSED, "", 1)]), Granted)


async def test_a_reservation_that_redis_finds_after_its_caller_has_left_is_not_made(
    server: OwnValkey, limiter: RedisLimiter
) -> None:
    server.hang()
    answers = await asyncio.gather(*(limiter.reserve([(CLOSED, "", 1)]) for _ in range(5)))
    assert all(isinstance(answer, Rejected) for answer in answers)
    server.go_on()

    async def back() -> bool:
        return limiter.health.reachable

    await eventually(back)
    assert await limiter.outstanding() == 0
    assert (await limiter.usage(CLOSED)).reserved == 0


async def test_a_process_that_loses_redis_frees_its_slots_when_it_is_back(
    server: OwnValkey, limiter: RedisLimiter
) -> None:
    slots = Limit("slots", Concurrency(20), meter="concurrency", on_outage=OnOutage.FAIL_CLOSED)
    calls = [await limiter.reserve([(slots, "", 1)]) for _ in range(20)]
    server.hang()
    for call in calls:
        assert isinstance(call, Granted)
        limiter.settle_soon(call, {})
    assert isinstance(await limiter.reserve([(slots, "", 1)]), Rejected)
    server.go_on()

    async def all_free() -> bool:
        return limiter.health.reachable and (await limiter.usage(slots)).left == 20

    await eventually(all_free)
    assert await limiter.outstanding() == 0
