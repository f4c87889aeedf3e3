"""Streams pass through as they arrive, are counted, and end when the client does."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from tests.integration.fallback.conftest import CHAT, HELLO, Bench

STREAM = {**HELLO, "stream": True}
BUDGET = {"ai-rate-limiting": {"limit": 1_000_000, "time_window": 60}}
REMAINING = "x-ai-ratelimit-remaining-main"


async def until(condition: object, seconds: float = 30) -> None:
    """Wait for something to become true."""
    assert callable(condition)
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


async def used(bench: Bench) -> int:
    """The tokens that have been charged, read from a call that costs nothing."""
    reply = await bench.call(X_Mock_No_Usage="1")
    return 1_000_000 - int(reply.headers[REMAINING])


@asynccontextmanager
async def open_stream(bench: Bench, **headers: str) -> AsyncIterator[httpx.Response]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with bench.client.stream("POST", CHAT, json=STREAM, headers=named) as reply:
        yield reply


async def test_every_part_is_passed_on_before_the_next_one_is_made(bench: Bench) -> None:
    await bench.route()
    async with open_stream(bench, X_Mock_Chunks="1000", X_Mock_Chunk_Delay_Ms="20") as reply:
        parts = reply.aiter_raw()
        for _ in range(3):
            await anext(parts)
        assert bench.mock.counters.completion_tokens == 0
        assert bench.mock.counters.streams_open == 1
    await until(lambda: bench.mock.counters.streams_open == 0)


async def test_a_stream_is_charged_what_it_reports(bench: Bench) -> None:
    await bench.route(BUDGET)
    async with open_stream(bench, X_Mock_Usage="7,20") as reply:
        await reply.aread()
    assert await used(bench) == 27


async def test_a_client_that_leaves_is_charged_what_was_produced_and_the_provider_stops(bench: Bench) -> None:
    await bench.route(BUDGET)
    async with open_stream(
        bench, X_Mock_Chunks="5000", X_Mock_Chunk_Delay_Ms="3", X_Mock_Usage="1,5000"
    ) as reply:
        async for _ in reply.aiter_raw():
            if bench.mock.requests and bench.mock.counters.streams_open:
                break
    await until(lambda: bench.mock.disconnects)
    (left,) = bench.mock.disconnects
    await until(lambda: bench.gateway.services.pool.open_connections == 0)
    assert left.completion_tokens < 5000
    assert await used(bench) == left.prompt_tokens + left.completion_tokens


async def test_concurrency_is_held_to_the_end_of_a_stream_and_free_after_a_client_has_left(
    bench: Bench,
) -> None:
    limit = {"conn": 1, "burst": 0, "default_conn_delay": 0.1, "key": "route_id", "rejected_code": 429}
    await bench.route({"limit-conn": limit})
    async with open_stream(bench, X_Mock_Chunks="3000", X_Mock_Chunk_Delay_Ms="5") as reply:
        await anext(reply.aiter_raw())
        assert (await bench.call()).status_code == 429
    await until(lambda: bench.gateway.services.counters.open_connections == 0)
    assert (await bench.call()).status_code == 200


async def test_a_provider_that_breaks_off_leaves_an_incomplete_answer(bench: Bench) -> None:
    await bench.route()
    with pytest.raises(httpx.RemoteProtocolError):
        async with open_stream(bench, X_Mock_Chunks="20", X_Mock_Cut="5", X_Mock_Chunk_Delay_Ms="1") as reply:
            await reply.aread()


async def test_a_member_that_breaks_before_the_first_event_is_replaced_by_the_next(bench: Bench) -> None:
    members = [bench.instance("first", priority=1), bench.instance("second")]
    await bench.route({"ai-proxy-multi": {"instances": members, "fallback_strategy": ["http_5xx"]}})
    bench.mock.set_defaults(prefix="/first", cut=0)
    async with open_stream(bench) as reply:
        text = (await reply.aread()).decode()
    assert text.endswith("data: [DONE]\n\n")
    assert [seen.path.split("/")[1] for seen in bench.mock.requests] == ["first", "second"]


async def test_a_stream_that_lasts_too_long_is_cut(bench: Bench) -> None:
    await bench.route({"ai-proxy-multi": {"instances": [bench.instance()], "max_stream_duration_ms": 100}})
    with pytest.raises(httpx.RemoteProtocolError):
        async with open_stream(bench, X_Mock_Chunks="1000", X_Mock_Chunk_Delay_Ms="5") as reply:
            await reply.aread()
    await until(lambda: bench.mock.counters.streams_open == 0)


async def test_a_client_that_does_not_read_slows_the_provider_down(bench: Bench) -> None:
    await bench.route()
    host, port = bench.gateway.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
    body = json.dumps({**STREAM, "model": "m" * 4000}).encode()
    await bench.put(
        "routes/r1",
        {
            "uri": CHAT,
            "plugins": {"ai-proxy-multi": {"instances": [bench.instance(options={"model": "m" * 4000})]}},
        },
    )
    head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nX-Mock-Chunks: 20000\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    await reader.read(100)
    # 20,000 events of four kilobytes are 80 MB: somebody has to wait, and it must be the provider.
    await until(lambda: any(connection.saturated for connection in bench.mock.connections))
    assert bench.mock.counters.streams_completed == 0
    writer.close()
    await until(lambda: bench.mock.counters.streams_open == 0)
