"""Clusters, sentinels, and machines whose clocks disagree."""

import asyncio
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from controlplane.clock import ManualClock
from controlplane.limiter import (
    CalendarWindow,
    Concurrency,
    FixedWindow,
    Granted,
    Limit,
    OnOutage,
    Period,
    RedisLimiter,
    Rejected,
)
from tests.fixtures.free_ports import free_ports
from tests.fixtures.own_valkey import OwnValkey, eventually, own_valkeys

TOKENS = Limit("tokens", FixedWindow(100, per=3600), on_outage=OnOutage.FAIL_CLOSED)
SLOTS = Limit("slots", Concurrency(3), meter="concurrency", on_outage=OnOutage.FAIL_CLOSED)


async def test_on_a_cluster_it_finds_the_node_that_keeps_its_counters(tmp_path: Path) -> None:
    options = ("--cluster-enabled", "yes", "--cluster-port", "{other_port}")
    async with own_valkeys(tmp_path, 2, options=options) as (empty, owner):
        await run(owner, "CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        await run(empty, "CLUSTER", "MEET", "127.0.0.1", owner.port, owner.other_port)
        for node in (empty, owner):
            await eventually(partial(is_complete, node))
        async with RedisLimiter(empty.url, timeout=5) as limiter:
            answers = await asyncio.gather(
                *(limiter.reserve([(TOKENS, str(key), 60), (SLOTS, "", 1)]) for key in range(5))
            )
            assert sum(isinstance(answer, Granted) for answer in answers) == 3
        async with owner.client() as there:
            assert await there.dbsize() > 0


async def test_it_asks_the_sentinels_for_the_master_and_follows_a_failover(tmp_path: Path) -> None:
    async with own_valkeys(tmp_path, 2) as (first, second):
        await run(second, "REPLICAOF", "127.0.0.1", first.port)
        await eventually(lambda: is_linked(second))
        configuration = tmp_path / "sentinel.conf"
        configuration.write_text(
            f"sentinel monitor main 127.0.0.1 {first.port} 1\n"
            "sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 3000\n"
        )
        options = (str(configuration), "--sentinel")
        async with own_valkeys(tmp_path, 1, options=options) as (sentinel,):
            (nobody,) = free_ports(1)
            url = f"redis+sentinel://127.0.0.1:{nobody},127.0.0.1:{sentinel.port}/0?master=main"
            async with RedisLimiter(url, timeout=2) as limiter:
                assert isinstance(await limiter.reserve([(TOKENS, "", 70)]), Granted)
                await eventually(lambda: knows_a_replica(sentinel))
                await first.kill()

                async def on_the_second() -> bool:
                    return isinstance(await limiter.reserve([(TOKENS, "other", 10)]), Granted)

                await eventually(on_the_second)
                usage = await limiter.usage(TOKENS)
                assert usage.used + usage.reserved == 70


async def run(server: OwnValkey, *words: object) -> Any:  # the answer depends on the command
    async with server.client() as client:
        return await client.execute_command(*words)  # type: ignore[no-untyped-call]


async def is_linked(replica: OwnValkey) -> bool:
    return bool((await run(replica, "INFO", "replication"))["master_link_status"] == "up")


async def knows_a_replica(sentinel: OwnValkey) -> bool:
    return bool(await run(sentinel, "SENTINEL", "REPLICAS", "main"))


async def is_complete(node: OwnValkey) -> bool:
    return "cluster_state:ok" in await run(node, "CLUSTER", "INFO")


@pytest.mark.parametrize("hours_off", [-80, -30, 30, 80])
async def test_the_clocks_of_the_processes_do_not_matter(valkey_url: str, hours_off: int) -> None:
    day = Limit("day", CalendarWindow(100, Period.DAY), on_outage=OnOutage.FAIL_CLOSED)
    wrong = ManualClock(time.time() + hours_off * 3600)
    async with (
        RedisLimiter(valkey_url, timeout=10) as right,
        RedisLimiter(valkey_url, timeout=10, clock=wrong) as off,
    ):
        for limiter in (off, right):
            assert isinstance(await limiter.reserve([(day, "", 40), (TOKENS, "", 40)]), Granted)
        for limiter in (right, off):
            answer = await limiter.reserve([(day, "", 40), (TOKENS, "", 40)])
            assert isinstance(answer, Rejected)
            assert [refusal.reserved for refusal in answer.refusals] == [80, 80]


async def test_two_namespaces_share_nothing(valkey_url: str) -> None:
    for namespace in ("one", "two"):
        async with RedisLimiter(valkey_url, timeout=10, namespace=namespace) as limiter:
            assert isinstance(await limiter.reserve([(TOKENS, "", 100)]), Granted)
            assert await limiter.outstanding() == 1
