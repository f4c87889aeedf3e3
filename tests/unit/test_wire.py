"""Writes over kept connections, against servers that behave in every way they may."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import pytest

from controlplane.gateway.wire import Writer, direct

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n" + b'{"key":"a"}'

REFUSED = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 11\r\n\r\n" + b'{"key":"a"}'


async def request_of(reader: asyncio.StreamReader) -> tuple[str, bytes]:
    """The request line and the body of what comes in."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    lengths = [line for line in head.lower().splitlines() if line.startswith("content-length:")]
    body = await reader.readexactly(int(lengths[0].partition(":")[2])) if lengths else b""
    return head.splitlines()[0], body


@asynccontextmanager
async def served(serve: Serve, *, connections: int = 4, timeout_s: float = 30.0) -> AsyncIterator[Writer]:
    """A writer to a server that treats every connection like this."""

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(one, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/apisix/admin/"
    writer = Writer(url, {"X-API-KEY": "admin"}, connections=connections, timeout_s=timeout_s)
    try:
        yield writer
    finally:
        await writer.close()
        server.close()


async def put(writer: Writer) -> httpx.Response:
    return await writer.send("PUT", "routes/a", b'{"uri":"/a"}')


async def test_writes_share_a_connection_that_stays_open() -> None:
    connections, asked = [], []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        while True:
            asked.append(await request_of(reader))
            writer.write(OK)

    async with served(serve) as writer:
        answers = [await put(writer) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201] * 3
    assert asked == [("PUT /apisix/admin/routes/a HTTP/1.1", b'{"uri":"/a"}')] * 3
    assert len(connections) == 1


async def test_no_more_connections_are_opened_than_are_allowed() -> None:
    connections = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        while True:
            await request_of(reader)
            writer.write(OK)

    async with served(serve, connections=2) as writer:
        await asyncio.gather(*(put(writer) for _ in range(20)))
    assert len(connections) <= 2


@pytest.mark.parametrize("says_so", [True, False])
async def test_a_connection_that_the_gateway_closes_between_two_writes_costs_nothing(says_so: bool) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        writer.write(OK.replace(b"\r\n", b"\r\nConnection: close\r\n", 1) if says_so else OK)

    async with served(serve) as writer:
        assert [(await put(writer)).status_code for _ in range(5)] == [201] * 5


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 400 Bad Request\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n" + b'{"key":"a"}\r\n0\r\n\r\n',
        b"HTTP/1.1 100 Continue\r\n\r\n" + REFUSED,
        b"HTTP/1.0 400 Bad Request\r\n\r\n" + b'{"key":"a"}',
    ],
    ids=["in chunks", "after a provisional answer", "until the connection ends"],
)
async def test_a_refusal_may_come_in_every_form_of_http(answer: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        for byte in answer:
            writer.write(bytes([byte]))
            await writer.drain()

    async with served(serve) as writer:
        given = await put(writer)
    assert (given.status_code, given.json()) == (400, {"key": "a"})


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 201 Created\r\nContent-Length: 99\r\n\r\n{", b"SMTP\r\n\r\n"]
)
async def test_an_answer_that_breaks_off_or_is_no_http_is_an_error_of_the_transport(answer: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        writer.write(answer)

    async with served(serve) as writer:
        with pytest.raises(httpx.TransportError):
            await put(writer)


async def test_a_gateway_that_does_not_answer_is_waited_for_as_long_as_was_said() -> None:
    async def serve(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with served(serve, timeout_s=0.05) as writer:
        with pytest.raises(httpx.ReadTimeout):
            await put(writer)


async def test_nobody_who_listens_is_a_connect_error() -> None:
    async with served(lambda _, writer: writer.drain()) as writer:
        pass
    with pytest.raises(httpx.ConnectError):
        await put(writer)


async def test_what_is_written_goes_out_with_all_its_headers_and_nothing_in_its_path_breaks_the_request() -> (
    None
):
    heads = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
            writer.write(OK)

    async with served(serve) as writer:
        await writer.send("DELETE", "routes/a b\r\nX-Other: c?x=1", headers={"X-Digest": "d"})
    (head,) = heads
    line, *headers = head.rstrip().splitlines()
    assert line == "DELETE /apisix/admin/routes/a%20b%0D%0AX-Other:%20c?x=1 HTTP/1.1"
    assert headers[0].startswith("Host: 127.0.0.1:")
    assert headers[1:] == ["Accept: */*", "X-API-KEY: admin", "X-Digest: d"]


async def test_a_header_with_a_line_end_is_not_sent() -> None:
    async with served(lambda _, writer: writer.drain()) as writer:
        with pytest.raises(httpx.LocalProtocolError):
            await writer.send("DELETE", "routes/a", headers={"X-Digest": "a\r\nX-Other: b"})


def test_a_proxy_that_the_environment_names_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy.internal:3128")
    monkeypatch.setenv("no_proxy", "gateway.near")
    assert direct("http://gateway.far:9180/apisix/admin/") is False
    assert direct("http://gateway.near:9180/apisix/admin/") is True
