"""Routes whose requests go on to plain nodes."""

import asyncio
import contextlib
import gzip
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from tests.integration.fallback.conftest import Bench

Answer = Callable[[str, dict[str, str], bytes], bytes]


def ok(body: bytes = b"hello", *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def echo(start: str, headers: dict[str, str], body: bytes) -> bytes:
    """The request as it arrived."""
    lines = [start, *(f"{name}: {value}" for name, value in headers.items()), body.decode()]
    return ok("\n".join(lines).encode(), "Content-Type: text/plain", "X-Node: yes", "Server: node")


@asynccontextmanager
async def node(answer: Answer = echo) -> AsyncIterator[str]:
    """A server that answers every request with what a function makes of it; yields its address."""
    open_connections: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_connections.add(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                headers = {
                    name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:-2])
                }
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                data = answer(head[0], headers, body)
                writer.write(data)
                if not data:
                    break
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    try:
        yield f"{host}:{port}"
    finally:
        server.close()
        for writer in open_connections:
            writer.close()
        await server.wait_closed()


async def forward(
    bench: Bench, *addresses: str, plugins: dict[str, Any] | None = None, **options: Any
) -> None:
    upstream = {"nodes": dict.fromkeys(addresses, 1), **options}
    await bench.put("routes/r1", {"uri": "/*", "upstream": upstream, "plugins": plugins or {}})


Call = Callable[[], Awaitable[httpx.Response]]


async def test_a_request_goes_on_as_it_came_and_says_where_it_came_from(bench: Bench) -> None:
    async with node() as address:
        await forward(bench, address)
        reply = await bench.client.post(
            "/a%20b/c?x=1&y=2",
            content=b"body",
            headers={"X-Mine": "1", "Connection": "x-mine2", "X-Mine2": "2"},
        )
    lines = reply.text.split("\n")
    assert lines[0] == "POST /a%20b/c?x=1&y=2 HTTP/1.1"
    assert "x-mine: 1" in lines
    assert not any(line.startswith(("x-mine2", "connection")) for line in lines)
    assert "x-forwarded-for: 127.0.0.1" in lines
    assert "x-real-ip: 127.0.0.1" in lines
    assert f"host: {bench.client.base_url.netloc.decode()}" in lines
    assert lines[-1] == "body"
    assert reply.headers["x-node"] == "yes"
    assert reply.headers["server"] == "Sluice"
    assert reply.headers["content-length"] == str(len(reply.content))


async def test_the_host_is_the_clients_the_nodes_or_one_of_its_own(bench: Bench) -> None:
    async with node() as address:
        await forward(bench, address, pass_host="node")
        assert f"host: {address}" in (await bench.client.get("/")).text
        await forward(bench, address, pass_host="rewrite", upstream_host="inside")
        assert "host: inside" in (await bench.client.get("/")).text
        await forward(bench, address, plugins={"proxy-rewrite": {"host": "plugin", "uri": "/new"}})
        text = (await bench.client.get("/old?a=b")).text
        assert "host: plugin" in text
        assert text.startswith("GET /new?a=b ")


async def test_a_head_request_has_no_body_and_the_next_one_is_not_disturbed(bench: Bench) -> None:
    def answer(start: str, headers: dict[str, str], body: bytes) -> bytes:
        data = ok(b"12345")
        return data.removesuffix(b"12345") if start.startswith("HEAD") else data

    async with node(answer) as address:
        await forward(bench, address)
        head = await bench.client.head("/")
        assert (head.status_code, head.headers["content-length"], head.content) == (200, "5", b"")
        assert (await bench.client.get("/")).content == b"12345"


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
async def test_an_answer_without_a_body_stays_without_one(bench: Bench, status: str) -> None:
    def answer(start: str, headers: dict[str, str], body: bytes) -> bytes:
        return f"HTTP/1.1 {status}\r\nX-A: b\r\n\r\n".encode()

    async with node(answer) as address:
        await forward(bench, address)
        for _ in range(2):
            reply = await bench.client.get("/")
            assert (reply.status_code, reply.content, reply.headers["x-a"]) == (int(status[:3]), b"", "b")


async def test_a_node_that_is_gone_is_replaced_by_the_next(bench: Bench) -> None:
    async with node() as address:
        await forward(bench, "127.0.0.1:1", address)
        for _ in range(4):
            assert (await bench.client.post("/", content=b"x")).status_code == 200
    reply = await bench.client.get("/")
    assert (reply.status_code, reply.headers["x-apisix-upstream-status"]) == (502, "502, 502")


async def test_a_request_that_a_node_may_have_seen_is_repeated_only_where_that_is_safe(bench: Bench) -> None:
    seen: Counter[str] = Counter()

    def hang_up(start: str, headers: dict[str, str], body: bytes) -> bytes:
        seen[start.split()[0]] += 1
        return b""

    async with node(hang_up) as one, node(hang_up) as two:
        await forward(bench, one, two)
        assert (await bench.client.post("/", content=b"x")).status_code == 502
        assert (await bench.client.get("/")).status_code == 502
    assert seen == {"POST": 1, "GET": 2}


async def test_upstreams_can_be_shared_and_a_route_without_one_is_unavailable(bench: Bench) -> None:
    async with node() as address:
        await bench.put(
            "upstreams/u1", {"nodes": [{"host": "127.0.0.1", "port": int(address[10:]), "weight": 1}]}
        )
        await bench.put("services/s1", {"upstream_id": "u1"})
        await bench.put("routes/r1", {"uri": "/a", "service_id": "s1"})
        await bench.put("routes/r2", {"uri": "/b", "plugins": {}})
        assert (await bench.client.get("/a")).status_code == 200
        assert (await bench.client.get("/b")).status_code == 503
        assert (await bench.admin.delete("/apisix/admin/upstreams/u1")).status_code == 400
        await bench.admin.delete("/apisix/admin/upstreams/u1?force=true")
        assert (await bench.client.get("/a")).status_code == 502


async def test_an_answer_whose_length_is_unknown_is_passed_on_in_chunks(bench: Bench) -> None:
    def answer(start: str, headers: dict[str, str], body: bytes) -> bytes:
        return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"

    async with node(answer) as address:
        await forward(bench, address)
        reply = await bench.client.get("/")
    assert reply.content == b"abcde"
    assert reply.headers["transfer-encoding"] == "chunked"


async def test_plugins_change_the_answer_of_a_node(bench: Bench) -> None:
    async with node() as address:
        await forward(
            bench,
            address,
            plugins={"response-rewrite": {"body": "other", "headers": {"set": {"X-Node": "no"}}}},
        )
        reply = await bench.client.get("/")
    assert (reply.text, reply.headers["x-node"]) == ("other", "no")


async def test_a_slow_node_is_a_time_out(bench: Bench) -> None:
    await forward(
        bench,
        bench.mock.base_url.removeprefix("http://"),
        timeout={"connect": 1, "send": 1, "read": 0.1},
    )
    reply = await bench.client.get("/v1/models", headers={"X-Mock-Latency-Ms": "2000"})
    assert reply.status_code == 504


async def test_failures_of_real_calls_make_a_node_unhealthy(bench: Bench) -> None:
    asked: Counter[str] = Counter()

    def broken(start: str, headers: dict[str, str], body: bytes) -> bytes:
        if start.split()[1] == "/":
            asked["broken"] += 1
            return ok(status="503 Service Unavailable")
        return ok(status="418 I'm a teapot")  # of probes, which then say neither well nor unwell

    checks = {
        "active": {"http_path": "/status", "healthy": {"interval": 60}, "unhealthy": {"interval": 60}},
        "passive": {"unhealthy": {"http_failures": 2}},
    }
    async with node(broken) as one, node() as two:
        await forward(bench, one, two, checks=checks)
        for _ in range(12):
            await bench.client.get("/")
    assert asked["broken"] == 2


async def test_a_client_that_leaves_lets_the_node_stop(bench: Bench) -> None:
    await forward(bench, bench.mock.base_url.removeprefix("http://"))
    body = {"messages": [{"role": "user", "content": "hi"}], "stream": True}
    headers = {"X-Mock-Chunks": "5000", "X-Mock-Chunk-Delay-Ms": "5"}
    async with bench.client.stream("POST", "/v1/chat/completions", json=body, headers=headers) as reply:
        async for _ in reply.aiter_bytes():
            break
    async with asyncio.timeout(30):
        while bench.mock.counters.streams_open:
            await asyncio.sleep(0.02)
    assert len(bench.mock.disconnects) == 1


async def test_no_value_of_a_client_can_add_headers_or_a_line_to_the_request_that_goes_on(
    bench: Bench,
) -> None:
    rewrite = {
        "regex_uri": ["^/(.*)/x", "/$1/y"],
        "headers": {"set": {"X-Path": "$uri", "X-Argument": "$arg_q", "X-Part": "$1"}},
    }
    async with node() as address:
        await forward(bench, address, plugins={"proxy-rewrite": rewrite})
        evil = "%0d%0aX-Evil:1"
        text = (await bench.client.get(f"/a{evil}/x?q=b{evil}")).text
        await forward(bench, address, plugins={"proxy-rewrite": {"uri": "/new$uri?q=$arg_q"}})
        other = (await bench.client.get(f"/a{evil}?q=b{evil}")).text
    assert "x-evil" not in [line.partition(":")[0].lower() for line in (text + other).split("\n")]
    assert "x-argument: b%0D%0AX-Evil:1" in text
    assert other.startswith("GET /new/a%0D%0AX-Evil:1?q=b%0D%0AX-Evil:1&")


async def test_what_a_function_sets_stays_one_header(bench: Bench) -> None:
    code = """return function(conf, ctx)
        ngx.req.set_header("X-Set", "a\\r\\nX-Evil: 1")
    end"""
    functions = {"serverless-pre-function": {"phase": "rewrite", "functions": [code]}}
    async with node() as address:
        await forward(bench, address, plugins=functions)
        text = (await bench.client.get("/")).text
    assert "x-set: a%0D%0AX-Evil: 1" in text


async def test_the_address_may_be_what_the_client_wrote_and_then_rewritten(bench: Bench) -> None:
    async with node() as address:
        for options, target in (
            ({}, "/a%20b/%2e?x=1"),
            ({"uri": "/n"}, "/n?x=1"),
            ({"regex_uri": ["^/a(.*)", "/u$1"]}, "/u%20b/%2e?x=1"),
        ):
            rewrite = {"use_real_request_uri_unsafe": True, **options}
            await forward(bench, address, plugins={"proxy-rewrite": rewrite})
            text = (await bench.client.get("/a%20b/%2e?x=1")).text
            assert text.startswith(f"GET {target} HTTP/1.1")


async def test_a_header_named_host_does_not_change_where_a_request_goes(bench: Bench) -> None:
    async with node() as address:
        await forward(bench, address, plugins={"proxy-rewrite": {"headers": {"set": {"Host": "other"}}}})
        assert f"host: {bench.client.base_url.netloc.decode()}" in (await bench.client.get("/")).text


async def test_filters_read_compressed_answers_and_refuse_to_pass_on_what_they_cannot_read(
    bench: Bench,
) -> None:
    filters = {"filters": [{"regex": "(se)(cret)?", "replace": "<$1$3>", "scope": "global"}]}
    for data, encoding, expected in (
        (gzip.compress(b"a secret, see"), "gzip", "a <se>, <se>e"),
        (b"a secret", "br", ""),
    ):

        def answer(
            start: str, headers: dict[str, str], body: bytes, data: bytes = data, encoding: str = encoding
        ) -> bytes:
            return ok(data, f"Content-Encoding: {encoding}", "Content-Type: text/plain")

        async with node(answer) as address:
            await forward(bench, address, plugins={"response-rewrite": filters})
            reply = await bench.client.get("/")
        assert "content-encoding" not in reply.headers
        assert reply.headers["content-type"] == "text/plain; charset=utf-8"
        assert reply.text == expected


async def test_a_header_that_is_set_to_nothing_is_removed_from_the_answer(bench: Bench) -> None:
    async with node() as address:
        await forward(bench, address, plugins={"response-rewrite": {"headers": {"set": {"X-Node": ""}}}})
        assert "x-node" not in (await bench.client.get("/")).headers
