"""Counters in Redis: shared by gateways, and what happens when Redis is gone."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis.asyncio

from tests.fixtures.own_valkey import OwnValkey, own_valkeys
from tests.fixtures.services import until
from tests.integration.fallback.conftest import CHAT, HELLO, Bench, running
from tests.integration.fallback.redis_options import options_of


class Line:
    """A TCP line to a Redis that can be cut and mended."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._open: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

    async def mend(self) -> None:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", self.port)
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def cut(self) -> None:
        if self._server is not None:
            self._server.close()
            for writer in list(self._open):
                writer.transport.abort()
            await self._server.wait_closed()
            self._server = None

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends = {writer}
        self._open |= ends
        try:
            there_reader, there_writer = await asyncio.open_connection(*self._target)
            ends.add(there_writer)
            self._open |= ends
            if self._server is not None:  # it may have been cut meanwhile
                await asyncio.gather(_pump(reader, there_writer), _pump(there_reader, writer))
        except ConnectionError:
            pass
        finally:
            self._open -= ends
            for end in ends:
                end.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.transport.abort()


@asynccontextmanager
async def line_to(url: str) -> AsyncIterator[Line]:
    parts = urlsplit(url)
    line = Line(parts.hostname or "", parts.port or 0)
    await line.mend()
    try:
        yield line
    finally:
        await line.cut()


def policy(url: str, port: int | None = None, **changes: Any) -> dict[str, Any]:
    options = options_of(url, policy="redis", **changes)
    return options if port is None else {**options, "redis_port": port}


COUNT = {"count": 3, "time_window": 60, "key": "remote_addr", "rejected_code": 429}
CONN = {"conn": 1, "burst": 0, "default_conn_delay": 0.1, "key": "remote_addr", "rejected_code": 429}
REQ = {"rate": 1, "burst": 1, "key": "remote_addr", "rejected_code": 429, "nodelay": True}
TOKENS = {"limit": 20, "time_window": 60, "rejected_code": 429}


async def test_two_gateways_share_one_budget(tmp_path: Path, valkey_url: str) -> None:
    async with running(tmp_path / "one") as one, running(tmp_path / "two") as two:
        for bench in (one, two):
            await bench.route({"limit-count": {**COUNT, **policy(valkey_url)}})
        statuses = [(await bench.call()).status_code for bench in (one, two, one, two, one)]
    assert statuses == [200, 200, 200, 429, 429]


async def test_tokens_of_one_gateway_are_charged_on_the_other(tmp_path: Path, valkey_url: str) -> None:
    async with running(tmp_path / "one") as one, running(tmp_path / "two") as two:
        for bench in (one, two):
            await bench.route({"ai-rate-limiting": {**TOKENS, **policy(valkey_url)}})
        assert (await one.call(X_Mock_Usage="20")).status_code == 200
        async with asyncio.timeout(30):
            while (await two.call(X_Mock_Usage="0")).status_code != 429:
                await asyncio.sleep(0.02)


async def test_places_are_shared_and_given_back(tmp_path: Path, valkey_url: str) -> None:
    async with running(tmp_path / "one") as one, running(tmp_path / "two") as two:
        for bench in (one, two):
            await bench.route({"limit-conn": {**CONN, **policy(valkey_url)}})
        slow = asyncio.create_task(one.call(X_Mock_Latency_Ms="3000"))
        async with asyncio.timeout(30):
            while not one.mock.requests:
                await asyncio.sleep(0.01)
        assert (await two.call()).status_code == 429
        assert (await slow).status_code == 200
        async with asyncio.timeout(30):
            while (await two.call()).status_code != 200:
                await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("plugin", "conf"),
    [("limit-count", COUNT), ("limit-conn", CONN), ("limit-req", REQ), ("ai-rate-limiting", TOKENS)],
)
async def test_without_redis_calls_fail_unless_they_may_pass_and_it_heals_by_itself(
    bench: Bench, valkey_url: str, plugin: str, conf: dict[str, Any]
) -> None:
    async with line_to(valkey_url) as line:
        for allowed, status in ((False, 500), (True, 200)):
            options = policy(valkey_url, line.port, allow_degradation=allowed)
            await bench.route({plugin: {**conf, **options}})
            assert (await bench.call()).status_code == 200
            await line.cut()
            assert (await bench.call()).status_code == status
            await line.mend()
            async with redis.asyncio.Redis.from_url(valkey_url) as client, asyncio.timeout(30):
                # What the calls before have cost is counted now, which must not be in the way here.
                await client.flushdb()
                while (await bench.call()).status_code != 200:
                    await client.flushdb()
                    await asyncio.sleep(0.02)
                await client.flushdb()


async def test_a_place_whose_call_ends_while_redis_is_away_is_given_back_later(
    bench: Bench, valkey_url: str
) -> None:
    async with (
        line_to(valkey_url) as line,
        redis.asyncio.Redis.from_url(valkey_url) as client,
        asyncio.timeout(60),
    ):
        await bench.route({"limit-conn": {**CONN, **policy(valkey_url, line.port)}})
        slow = asyncio.create_task(bench.call(X_Mock_Latency_Ms="500"))
        while not bench.mock.requests:
            await asyncio.sleep(0.01)
        await line.cut()
        assert (await slow).status_code == 200
        assert [key async for key in client.scan_iter("limit_conn:*")]
        await line.mend()
        while [key async for key in client.scan_iter("limit_conn:*")]:
            await asyncio.sleep(0.02)


async def test_a_redis_that_does_not_answer_is_given_up_in_time(bench: Bench) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read()
        except ConnectionError:
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    options = {"policy": "redis", "redis_host": "127.0.0.1", "redis_timeout": 100}
    options["redis_port"] = server.sockets[0].getsockname()[1]
    await bench.route({"limit-count": {**COUNT, **options}})
    async with asyncio.timeout(30):
        assert (await bench.call()).status_code == 500
    await bench.route()
    server.close()


async def test_a_wrong_password_is_no_reason_to_let_a_call_pass(bench: Bench, valkey_url: str) -> None:
    options = policy(valkey_url, redis_password="wrong")
    await bench.route({"limit-count": {**COUNT, **options}})
    reply = await bench.call()
    assert reply.status_code == 500
    assert "wrong" not in reply.text


@pytest.fixture
async def own_valkey(tmp_path: Path) -> AsyncIterator[OwnValkey]:
    """What happens to it, happens to no other test."""
    async with own_valkeys(tmp_path, 1) as (server,):
        yield server


async def test_scripts_that_redis_has_forgotten_are_sent_again(bench: Bench, own_valkey: OwnValkey) -> None:
    await bench.route({"limit-count": {**COUNT, **policy(own_valkey.url)}})
    async with own_valkey.client() as client:
        for _ in range(3):
            assert (await bench.call()).status_code == 200
            await client.script_flush()
    assert (await bench.call()).status_code == 429


async def stream_that_ends_while(bench: Bench, trouble: Any) -> None:
    """A stream that begins when all is well; the trouble begins before it ends."""
    body = {**HELLO, "stream": True}
    headers = {"X-Mock-Chunks": "6", "X-Mock-Chunk-Delay-Ms": "30", "X-Mock-Usage": "10"}
    async with bench.client.stream("POST", CHAT, json=body, headers=headers) as reply:
        assert reply.status_code == 200
        parts = reply.aiter_bytes()
        await anext(parts)
        await trouble
        async for _ in parts:
            pass


async def charged(url: str) -> tuple[int, int]:
    """The tokens that are charged and the slots that are held."""
    async with redis.asyncio.Redis.from_url(url) as client:
        windows = [key async for key in client.scan_iter("plugin-ai-rate-limiting:*")]
        slots = [key async for key in client.scan_iter("limit_conn:*")]
        return sum([int(await client.get(key) or 0) for key in windows]), len(slots)


async def metric(bench: Bench, name: str) -> str:
    lines = (await bench.admin.get("/apisix/prometheus/metrics")).text.splitlines()
    return next(line.rpartition(" ")[2] for line in lines if line.startswith(name))


async def test_a_charge_is_not_lost_while_redis_does_not_answer(bench: Bench, own_valkey: OwnValkey) -> None:
    options = policy(own_valkey.url, redis_timeout=200)
    await bench.route(
        {"ai-rate-limiting": {**TOKENS, "limit": 1000, **options}, "limit-conn": {**CONN, **options}}
    )

    async def pause() -> None:
        async with own_valkey.client() as client:
            await client.client_pause(1200, all=False)

    await stream_that_ends_while(bench, pause())

    async def is_charged() -> bool:
        return await charged(own_valkey.url) == (10, 0)

    await until(is_charged, "ten tokens are charged and the slot is free")
    assert (await bench.call()).status_code == 200


async def test_a_charge_is_not_lost_while_redis_is_gone(bench: Bench, valkey_url: str) -> None:
    async with line_to(valkey_url) as line:
        options = policy(valkey_url, line.port, redis_timeout=200)
        await bench.route(
            {"ai-rate-limiting": {**TOKENS, "limit": 1000, **options}, "limit-conn": {**CONN, **options}}
        )
        await stream_that_ends_while(bench, line.cut())

        async def is_kept() -> bool:
            return await metric(bench, 'apisix_redis_charges{state="waiting"}') == "2"

        await until(is_kept, "the charge and the slot wait for Redis")
        await line.mend()

        async def is_charged() -> bool:
            return await charged(valkey_url) == (10, 0)

        await until(is_charged, "ten tokens are charged and the slot is free")
    assert await metric(bench, 'apisix_redis_charges{state="lost"}') == "0"
