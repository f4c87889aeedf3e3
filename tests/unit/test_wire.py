"""Writes over kept connections, against servers that behave in every way they may."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import pytest

from controlplane.gateway.wire import WriteTransport, direct

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n" + b'{"key":"a"}'


async def request_of(reader: asyncio.StreamReader) -> tuple[str, bytes]:
    """The request line and the body of what comes in."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    lengths = [line for line in head.lower().splitlines() if line.startswith("content-length:")]
    body = await reader.readexactly(int(lengths[0].partition(":")[2])) if lengths else b""
    return head.splitlines()[0], body


@asynccontextmanager
async def served(serve: Serve, *, connections: int = 4) -> AsyncIterator[tuple[WriteTransport, str]]:
    """A transport, and the address of a server that treats every connection like this."""

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(one, "127.0.0.1", 0)
    others = httpx.MockTransport(lambda request: httpx.Response(200, text=f"other {request.method}"))
    transport = WriteTransport(others, connections=connections)
    try:
        yield transport, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/apisix/admin/routes/a"
    finally:
        await transport.aclose()
        server.close()


async def put(transport: WriteTransport, url: str, **options: float) -> httpx.Response:
    timeouts = {"timeout": {"connect": 30.0, "read": 30.0, **options}}
    return await transport.handle_async_request(
        httpx.Request("PUT", url, content=b'{"uri":"/a"}', extensions=timeouts)
    )


async def test_writes_share_a_connection_that_stays_open() -> None:
    connections, asked = [], []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        while True:
            asked.append(await request_of(reader))
            writer.write(OK)

    async with served(serve) as (transport, url):
        answers = [await put(transport, url) for _ in range(3)]
    assert [(answer.status_code, answer.json()) for answer in answers] == [(201, {"key": "a"})] * 3
    assert asked == [("PUT /apisix/admin/routes/a HTTP/1.1", b'{"uri":"/a"}')] * 3
    assert len(connections) == 1


async def test_no_more_connections_are_opened_than_are_allowed() -> None:
    connections = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        while True:
            await request_of(reader)
            writer.write(OK)

    async with served(serve, connections=2) as (transport, url):
        await asyncio.gather(*(put(transport, url) for _ in range(20)))
    assert len(connections) <= 2


@pytest.mark.parametrize("says_so", [True, False])
async def test_a_connection_that_the_gateway_closes_between_two_writes_costs_nothing(says_so: bool) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        writer.write(OK.replace(b"\r\n", b"\r\nConnection: close\r\n", 1) if says_so else OK)

    async with served(serve) as (transport, url):
        assert [(await put(transport, url)).status_code for _ in range(5)] == [201] * 5


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n" + b'{"key":"a"}\r\n0\r\n\r\n',
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
        b"HTTP/1.0 201 Created\r\n\r\n" + b'{"key":"a"}',
    ],
    ids=["in chunks", "after a provisional answer", "until the connection ends"],
)
async def test_an_answer_may_come_in_every_form_of_http(answer: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        for byte in answer:
            writer.write(bytes([byte]))
            await writer.drain()

    async with served(serve) as (transport, url):
        given = await put(transport, url)
    assert (given.status_code, given.json()) == (201, {"key": "a"})


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 201 Created\r\nContent-Length: 99\r\n\r\n{", b"SMTP\r\n\r\n"]
)
async def test_an_answer_that_breaks_off_or_is_no_http_is_an_error_of_the_transport(answer: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        writer.write(answer)

    async with served(serve) as (transport, url):
        with pytest.raises(httpx.TransportError):
            await put(transport, url)


async def test_a_gateway_that_does_not_answer_is_waited_for_as_long_as_was_said() -> None:
    async def serve(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with served(serve) as (transport, url):
        with pytest.raises(httpx.ReadTimeout):
            await put(transport, url, read=0.05)


async def test_nobody_who_listens_is_a_connect_error() -> None:
    async with served(lambda _, writer: writer.drain()) as (_, url):
        pass
    transport = WriteTransport(httpx.MockTransport(lambda _: httpx.Response(200)), connections=1)
    with pytest.raises(httpx.ConnectError):
        await put(transport, url)


async def test_everything_but_writes_goes_another_way() -> None:
    async with served(lambda _, writer: writer.drain()) as (transport, url):
        answer = await transport.handle_async_request(httpx.Request("GET", url))
        assert answer.text == "other GET"


async def test_a_header_with_a_line_end_is_not_sent() -> None:
    async with served(lambda _, writer: writer.drain()) as (transport, url):
        request = httpx.Request("DELETE", url, headers={"X-API-KEY": "a\r\nX-Other: b"})
        with pytest.raises(httpx.LocalProtocolError):
            await transport.handle_async_request(request)


def test_a_proxy_that_the_environment_names_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy.internal:3128")
    monkeypatch.setenv("no_proxy", "gateway.near")
    assert direct("http://gateway.far:9180/apisix/admin/", 8) is None
    assert direct("http://gateway.near:9180/apisix/admin/", 8) is not None
