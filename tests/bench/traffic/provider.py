"""A provider that does as little as possible: `python -m tests.bench.traffic.provider`.

It answers every request with the same chat completion; a request for a stream with `EVENTS` events, each in a
write of its own. `X-Bench-Gap-Ms` spaces them out. The port is printed once it listens.
"""

import asyncio
import re
import sys
from typing import cast

import uvloop

EVENTS = 20

_ANSWER = (
    b'{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"gpt-4o-mini","choices":['
    b'{"index":0,"message":{"role":"assistant","content":"The quick brown fox jumps over the lazy dog."},'
    b'"finish_reason":"stop"}],"usage":{"prompt_tokens":12,"completion_tokens":10,"total_tokens":22}}'
)
_WHOLE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
    len(_ANSWER),
    _ANSWER,
)
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_GAP = re.compile(rb"x-bench-gap-ms: *(\d+)", re.IGNORECASE)


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _event(delta: bytes, rest: bytes) -> bytes:
    return _chunk(
        b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,'
        b'"model":"gpt-4o-mini","choices":[%b],"usage":%b}\n\n' % (delta, rest)
    )


_WORD = _event(b'{"index":0,"delta":{"content":" word"},"finish_reason":null}', b"null")
_USAGE = _event(b"", b'{"prompt_tokens":12,"completion_tokens":18,"total_tokens":30}')
_LAST = _USAGE + _chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"
_STREAM = (_HEAD + _WORD, *[_WORD] * (EVENTS - 2), _LAST)


class Provider(asyncio.Protocol):
    """One connection; requests come one after another."""

    def __init__(self) -> None:
        self._buffer = b""
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._buffer[:end]
        length = _LENGTH.search(head)
        size = end + 4 + (int(length[1]) if length else 0)
        if len(self._buffer) < size:
            return
        body, self._buffer = self._buffer[end + 4 : size], self._buffer[size:]
        if b'"stream":true' not in body:
            self._transport.write(_WHOLE)
            return
        gap = _GAP.search(head)
        self._send(0, int(gap[1]) / 1000 if gap else 0.0)

    def _send(self, number: int, gap_s: float) -> None:
        if self._transport.is_closing():
            return
        self._transport.write(_STREAM[number])
        if number + 1 < len(_STREAM):
            self._loop.call_later(gap_s, self._send, number + 1, gap_s)


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(Provider, "127.0.0.1", 0, backlog=1024)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve())
