"""Clients that leave in the middle of streams, many at once, leave nothing behind."""

import asyncio
import json
import random

import redis.asyncio

from tests.integration.fallback.conftest import CHAT, HELLO, Bench
from tests.integration.fallback.redis_options import options_of

CLIENTS = 150
AT_ONCE = 25


async def leave_early(bench: Bench, chance: random.Random) -> None:
    """Read a little of a stream and go, sometimes with a bang."""
    host, port = bench.gateway.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    body = json.dumps({**HELLO, "stream": True}).encode()
    writer.write(
        f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nX-Mock-Chunks: 400\r\nX-Mock-Chunk-Delay-Ms: 3\r\n"
        f"Content-Length: {len(body)}\r\n\r\n".encode()
        + body
    )
    await reader.read(chance.randrange(1, 2000))
    if chance.random() < 0.5:
        writer.transport.abort()
    writer.close()


async def test_no_slot_is_left_and_the_charge_is_what_was_produced(bench: Bench, valkey_url: str) -> None:
    options = options_of(valkey_url)
    # Without a model that names its usage the mock counts words: one for each piece, as the gateway does.
    members = [bench.instance(options={"model": "counts-words"})]
    await bench.route(
        {
            "ai-proxy-multi": {"instances": members},
            "ai-rate-limiting": {"limit": 10**9, "time_window": 3600, "policy": "redis", **options},
            "limit-conn": {
                "conn": 10_000,
                "burst": 0,
                "default_conn_delay": 0.1,
                "key": "route_id",
                "policy": "redis",
                **options,
            },
        }
    )
    chance = random.Random(7)
    gate = asyncio.Semaphore(AT_ONCE)

    async def one() -> None:
        async with gate:
            await leave_early(bench, chance)

    await asyncio.gather(*(one() for _ in range(CLIENTS)))
    async with asyncio.timeout(30):
        while bench.mock.counters.streams_open or bench.gateway.services.pool.open_connections:
            await asyncio.sleep(0.02)
    produced = sum(left.prompt_tokens + left.completion_tokens for left in bench.mock.disconnects)
    assert len(bench.mock.disconnects) == CLIENTS
    async with redis.asyncio.Redis.from_url(valkey_url) as client:
        slots = [key async for key in client.scan_iter("limit_conn:*")]
        windows = [key async for key in client.scan_iter("plugin-ai-rate-limiting:*")]
        charged = [int(await client.get(key) or 0) for key in windows]
    assert slots == []
    assert charged == [produced]
