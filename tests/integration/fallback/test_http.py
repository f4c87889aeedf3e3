"""The gateway's HTTP server: what it takes, what it refuses, and how it treats slow and rude clients."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from controlplane.fallback.http.limits import Limits
from tests.fixtures.services import until as until_it_holds
from tests.integration.fallback.conftest import CHAT, HELLO, Bench, running

BODY = json.dumps(HELLO).encode()
PATIENCE_S = 60
QUICK = Limits(
    header_timeout_s=1.0, body_timeout_s=1.0, idle_timeout_s=1.0, write_timeout_s=1.0, body_bytes=100_000
)


@pytest.fixture
async def strict(tmp_path: Path) -> AsyncIterator[Bench]:
    """A gateway with short patience and small limits."""
    async with running(tmp_path / "gateway", limits=QUICK) as started:
        await started.route()
        yield started


async def connect(bench: Bench) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = bench.gateway.url.removeprefix("http://").split(":")
    return await asyncio.open_connection(host, int(port))


async def say(bench: Bench, *parts: bytes) -> bytes:
    """Send bytes, and read until the gateway closes or has been silent for a while."""
    reader, writer = await connect(bench)
    for part in parts:
        writer.write(part)
        await writer.drain()
    received = b""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while data := await reader.read(65536):
                received += data
    finally:
        writer.close()
    return received


async def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for something to come about."""

    async def holds() -> bool:
        return condition()

    await until_it_holds(holds, what)


def request(*headers: str, body: bytes = BODY, close: bool = True) -> bytes:
    lines = [f"POST {CHAT} HTTP/1.1", "Host: gateway", "Content-Type: application/json", *headers]
    if close:
        lines.append("Connection: close")
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


async def test_requests_on_one_connection_are_answered_in_order(bench: Bench) -> None:
    await bench.route()
    slow = request("X-Mock-Latency-Ms: 50", "X-Mock-Usage: 2", close=False)
    received = await say(bench, slow + request("X-Mock-Usage: 4"))
    assert received.index(b'"total_tokens": 2') < received.index(b'"total_tokens": 4')


async def test_a_body_in_chunks_is_put_together(bench: Bench) -> None:
    await bench.route()
    head = (
        f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n".encode()
    )
    half = len(BODY) // 2
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (BODY[:half], BODY[half:]))
    received = await say(bench, head, chunks, b"0\r\n\r\n")
    assert received.startswith(b"HTTP/1.1 200")
    assert bench.mock.requests[0].body["messages"] == HELLO["messages"]


async def test_a_client_that_waits_for_permission_gets_it(bench: Bench) -> None:
    await bench.route()
    reader, writer = await connect(bench)
    whole = request("Expect: 100-continue")
    writer.write(whole[: -len(BODY)])
    assert await asyncio.wait_for(reader.readline(), PATIENCE_S) == b"HTTP/1.1 100 Continue\r\n"
    writer.write(BODY)
    received = await asyncio.wait_for(reader.read(), PATIENCE_S)
    assert b"HTTP/1.1 200" in received
    assert "expect" not in bench.mock.requests[0].headers
    writer.close()


async def test_a_client_that_would_rather_speak_something_else_is_answered_in_http_1(bench: Bench) -> None:
    await bench.route()
    wish = ("Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA", "Connection: Upgrade, HTTP2-Settings")
    first = request(*wish, close=False)
    received = await say(bench, first[:150], first[150:] + request("X-Mock-Usage: 4"))
    assert received.count(b"HTTP/1.1 200") == 2
    assert bench.mock.requests[0].body["messages"] == HELLO["messages"]
    assert "upgrade" not in bench.mock.requests[0].headers


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"POST /chat HTTP/1.1\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost:\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", b"400"),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", b"400"),
        (b"GET /%zz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"400"),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"414"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 40_000 + b"\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-A: 1\r\n" * 300 + b"\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", b"400"),
        (b"GET /../../etc HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"400"),
    ],
)
async def test_what_is_no_good_request_is_refused(bench: Bench, sent: bytes, status: bytes) -> None:
    received = await say(bench, sent)
    assert received.split(b" ")[1] == status


async def test_a_body_over_the_plugins_limit_is_413_in_apisixs_words(bench: Bench) -> None:
    await bench.route({"ai-proxy-multi": {"instances": [bench.instance()], "max_req_body_size": 100}})
    reply = await bench.call(body={"messages": [{"role": "user", "content": "x" * 200}]})
    assert reply.status_code == 413
    assert "is greater than the maximum size 100 allowed" in reply.json()["message"]
    assert not bench.mock.requests


async def test_a_body_over_the_servers_limit_is_cut_short(strict: Bench) -> None:
    chunk = b"10000\r\n" + b"a" * 0x10000 + b"\r\n"
    head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    received = await say(strict, head, chunk, chunk)
    assert received.split(b" ")[1] == b"413"


async def test_a_client_that_sends_its_headers_one_by_one_is_not_waited_for(strict: Bench) -> None:
    reader, writer = await connect(strict)
    writer.write(b"POST /chat HTTP/1.1\r\nHost: x\r\n")
    assert await asyncio.wait_for(reader.read(), PATIENCE_S) == b""
    writer.close()


async def test_a_client_that_never_finishes_its_body_is_not_waited_for(strict: Bench) -> None:
    reader, writer = await connect(strict)
    writer.write(request(close=False)[:-5])
    assert await asyncio.wait_for(reader.read(), PATIENCE_S) == b""
    writer.close()


async def test_a_client_that_never_reads_its_answer_is_not_waited_for(strict: Bench) -> None:
    await strict.route({"ai-proxy-multi": {"instances": [strict.instance(options={"model": "m" * 4000})]}})
    body = json.dumps({**HELLO, "stream": True}).encode()
    _, writer = await connect(strict)
    writer.write(request("X-Mock-Chunks: 20000", body=body, close=False))
    # 80 MB do not fit into what the machine keeps for a connection.
    await until(lambda: bool(strict.mock.disconnects), "the end of the stream")
    assert strict.mock.counters.streams_completed == 0
    writer.close()


async def test_an_idle_connection_is_closed(strict: Bench) -> None:
    reader, writer = await connect(strict)
    writer.write(request(close=False))
    received = await asyncio.wait_for(reader.read(), PATIENCE_S)
    assert received.startswith(b"HTTP/1.1 200")
    writer.close()


async def test_an_old_client_gets_its_answer_and_the_end_of_the_connection(bench: Bench) -> None:
    await bench.route()
    body = json.dumps({**HELLO, "stream": True}).encode()
    sent = f"POST {CHAT} HTTP/1.0\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    received = await say(bench, sent)
    assert b"Transfer-Encoding" not in received
    assert received.endswith(b"data: [DONE]\n\n")


async def test_a_header_cannot_smuggle_another_into_the_answer(bench: Bench) -> None:
    rewrite = {"headers": {"set": {"X-Echo": "a\r\nX-Evil: 1"}}}
    await bench.route({"response-rewrite": rewrite})
    reply = await bench.call()
    assert "x-evil" not in reply.headers


async def test_an_answer_that_comes_before_the_body_is_read_by_the_client(bench: Bench) -> None:
    body = b"a" * 3_000_000
    reader, writer = await connect(bench)
    writer.write(b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body))
    writer.write(body[:1000])
    received = await asyncio.wait_for(reader.readuntil(b"Route Not Found"), PATIENCE_S)
    assert received.startswith(b"HTTP/1.1 404")
    writer.close()
