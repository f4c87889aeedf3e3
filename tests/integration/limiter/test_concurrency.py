"""Many at once: tasks, threads and processes, some of which die."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from threading import Barrier

from controlplane.clock import ManualClock
from controlplane.limiter import (
    Concurrency,
    FixedWindow,
    Granted,
    Limit,
    MemoryLimiter,
    Outcome,
    RedisLimiter,
    Rejected,
    TokenBucket,
)
from tests.fixtures.own_valkey import eventually

TENANT = Limit("tenant", FixedWindow(1000, per=3600))
KEY = Limit("key", TokenBucket(300, refill_per_s=1e-6))
SLOTS = Limit("slots", Concurrency(7), meter="concurrency")


async def test_of_a_hundred_tasks_over_four_connections_exactly_as_many_as_fit_are_let_in(
    valkey_url: str,
) -> None:
    async with limiters(valkey_url, 4) as four:

        async def try_(number: int) -> bool:
            charges = [(TENANT, "", 30), (KEY, str(number % 2), 30)]
            return isinstance(await four[number % 4].reserve(charges), Granted)

        admitted = await asyncio.gather(*(try_(number) for number in range(100)))
        assert [sum(admitted[0::2]), sum(admitted[1::2])] == [10, 10]
        usage = await four[0].usage(TENANT)
        assert (usage.used, usage.reserved) == (0, 600)


def test_of_a_hundred_threads_exactly_as_many_as_fit_are_let_in() -> None:
    limiter = MemoryLimiter(ManualClock())
    start = Barrier(100)

    def try_(number: int) -> int:
        start.wait()
        admitted = 0
        for _ in range(20):
            answer = limiter.reserve_nowait([(TENANT, "", 3), (KEY, str(number % 4), 3), (SLOTS, "", 1)])
            if isinstance(answer, Granted):
                admitted += 1
                limiter.settle_nowait(answer, {"tokens": 2})
        return admitted

    with ThreadPoolExecutor(100) as threads:
        admitted = list(threads.map(try_, range(100)))
    used = [limiter.usage_nowait(KEY, str(key)).used for key in range(4)]
    assert limiter.usage_nowait(TENANT).used == 2 * sum(admitted) == sum(used)
    assert max(used) <= 300
    assert limiter.outstanding_nowait() == 0


async def test_slots_are_never_held_by_more_than_there_are_and_all_come_back(valkey_url: str) -> None:
    holding = most = 0
    async with limiters(valkey_url, 3) as three:

        async def call(number: int) -> None:
            nonlocal holding, most
            limiter = three[number % 3]
            while isinstance(answer := await limiter.reserve([(SLOTS, "", 1), (TENANT, "", 0)]), Rejected):
                await asyncio.sleep(0)
            holding += 1
            most = max(most, holding)
            await asyncio.sleep(0)
            holding -= 1
            if number % 2:
                assert await limiter.settle(answer, {}) is Outcome.DONE
            else:
                limiter.cancel_soon(answer)

        await asyncio.gather(*(call(number) for number in range(200)))
        assert most == 7

        async def all_back() -> bool:
            return (await three[0].usage(SLOTS)).left == 7 and await three[0].outstanding() == 0

        await eventually(all_back)


async def test_callers_that_leave_while_they_wait_take_nothing_with_them(valkey_url: str) -> None:
    async with RedisLimiter(valkey_url, timeout=10) as limiter:
        await leave_while_waiting(limiter)
        assert await limiter.outstanding() == 0


async def leave_while_waiting(limiter: RedisLimiter) -> None:
    await limiter.outstanding()
    for pauses in range(12):
        calls = [asyncio.ensure_future(limiter.reserve([(SLOTS, "", 1)])) for _ in range(7)]
        for _ in range(pauses):
            await asyncio.sleep(0)
        for call in calls:
            call.cancel()
        answers = await asyncio.gather(*calls, return_exceptions=True)
        for answer in answers:
            if isinstance(answer, Granted):
                await limiter.cancel(answer)

        async def all_free() -> bool:
            return (await limiter.usage(SLOTS)).left == 7

        await eventually(all_free)


@asynccontextmanager
async def limiters(url: str, count: int) -> AsyncIterator[list[RedisLimiter]]:
    """As many processes would have, each with a connection of its own."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(RedisLimiter(url, timeout=10)) for _ in range(count)]


HOLDER = """
import asyncio, sys
from controlplane.limiter import Concurrency, FixedWindow, Limit, RedisLimiter

async def hold():
    limiter = RedisLimiter(sys.argv[1], timeout=10)
    slots = Limit("slots", Concurrency(7), meter="concurrency")
    tenant = Limit("tenant", FixedWindow(1000, per=3600))
    await limiter.reserve([(slots, "", 7), (tenant, "", 1000)], lease=2.0)
    print("held", flush=True)
    await asyncio.sleep(3600)

asyncio.run(hold())
"""


async def test_what_a_killed_process_held_is_free_when_its_lease_is_over(valkey_url: str) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, valkey_url], stdout=subprocess.PIPE, text=True)
    limiter = RedisLimiter(valkey_url, timeout=10)
    try:
        assert holder.stdout is not None
        assert await asyncio.to_thread(holder.stdout.readline) == "held\n"
        os.kill(holder.pid, signal.SIGKILL)
        answer = await limiter.reserve([(SLOTS, "", 1), (TENANT, "", 1)])
        assert isinstance(answer, Rejected)
        assert [(refusal.limit.name, refusal.reserved) for refusal in answer.refusals] == [
            ("tenant", 1000),
            ("slots", 7),
        ]

        async def admitted() -> bool:
            return isinstance(await limiter.reserve([(SLOTS, "", 7), (TENANT, "", 1000)]), Granted)

        await eventually(admitted)
        assert await limiter.outstanding() == 1
    finally:
        holder.kill()
        holder.communicate()
        await limiter.aclose()


GREEDY = """
import asyncio, random, sys
from controlplane.limiter import FixedWindow, Granted, Limit, RedisLimiter

async def spend():
    url, seed = sys.argv[1], int(sys.argv[2])
    chance, limiter = random.Random(seed), RedisLimiter(url, timeout=10)
    limit = Limit("shared", FixedWindow(200_000, per=3600))
    used = misses = 0
    while misses < 20:
        most = chance.randint(1, 900)
        answer = await limiter.reserve([(limit, "", most)])
        if isinstance(answer, Granted):
            truth = chance.randint(0, most)
            used += truth
            await limiter.settle(answer, {"tokens": truth})
        else:
            misses += 1
    print(used)
    await limiter.aclose()

asyncio.run(spend())
"""


async def test_processes_that_keep_trying_use_no_more_than_the_limit_and_hardly_less(valkey_url: str) -> None:
    command = [sys.executable, "-c", GREEDY, valkey_url]
    spenders = [
        subprocess.Popen([*command, str(seed)], stdout=subprocess.PIPE, text=True) for seed in range(3)
    ]
    outputs = [await asyncio.to_thread(spender.communicate) for spender in spenders]
    used = sum(int(output) for output, _ in outputs)
    assert 0.98 * 200_000 <= used <= 200_000
    async with RedisLimiter(valkey_url, timeout=10) as limiter:
        usage = await limiter.usage(Limit("shared", FixedWindow(200_000, per=3600)))
        assert (usage.used, usage.reserved) == (used, 0)
