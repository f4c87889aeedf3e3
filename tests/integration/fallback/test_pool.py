"""Connections to providers are used again only when another request can go over them."""

import asyncio

from controlplane.fallback.http.answers import Origin, Patience, UpstreamFailed
from controlplane.fallback.http.upstream import Pool

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_FIRST = b"3\r\none\r\n"
_REST = b"3\r\ntwo\r\n0\r\n\r\n"


class _Sink:
    """Keeps a body until it is complete."""

    def __init__(self) -> None:
        self.body = b""
        self.over = asyncio.Event()

    def data(self, data: bytes) -> None:
        self.body += data

    def end(self) -> None:
        self.over.set()

    def failed(self, error: UpstreamFailed) -> None:
        raise AssertionError(error)


async def test_a_connection_that_was_told_to_stop_is_not_used_again_after_a_complete_answer() -> None:
    asked = 0

    async def provider(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        await reader.readuntil(b"\r\n\r\n")
        asked += 1
        writer.write(_HEAD + _FIRST)
        await reader.read()
        writer.write(_REST)
        await over.wait()
        writer.close()

    over = asyncio.Event()
    pool = Pool()
    async with asyncio.timeout(60), await asyncio.start_server(provider, "127.0.0.1", 0) as server:
        origin = Origin("http", *server.sockets[0].getsockname()[:2])
        for number in (1, 2):
            answer = await pool.send(origin, b"GET / HTTP/1.1\r\n\r\n", Patience(), ("text/event-stream",))
            sink = _Sink()
            answer.attach(sink)
            answer.stop(30.0)
            await sink.over.wait()
            assert (sink.body, asked) == (b"onetwo", number)
        over.set()
        await pool.close()
