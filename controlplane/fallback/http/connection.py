"""A client's connection: HTTP/1.1 parsed by httptools, requests answered one after another."""

import asyncio
import re
from collections import deque
from typing import TYPE_CHECKING, cast

import httptools

from controlplane.fallback.http.exchange import Exchange
from controlplane.fallback.http.headers import Headers, Value
from controlplane.fallback.http.pages import error_page, reason

if TYPE_CHECKING:
    from controlplane.fallback.http.server import Server

_READ_AHEAD = 256 * 1024
_QUEUED_REQUESTS = 16
_LINGER_S = 5.0


# No space, no control character, no slash: what could be taken for something else than a name.
_HOST = re.compile(r"[^\x00-\x20/\x7f]+")


class _Refused(Exception):
    """The request is answered with an error page, and the connection is closed."""

    def __init__(self, status: int, title: str | None = None) -> None:
        super().__init__(status)
        self.status = status
        self.title = title


class Connection(asyncio.Protocol):
    """Parses requests and lets the server answer them in order.

    `deadline` is when the client must have done what it owes us (send the headers or the next part of a body,
    read what was written), in the server's monotonic time; 0 where it owes nothing. The server sweeps it.
    """

    __slots__ = (
        "_answering",
        "_arriving",
        "_closing",
        "_header_bytes",
        "_header_lines",
        "_headers",
        "_parser",
        "_queue",
        "_server",
        "_target",
        "_transport",
        "_wanted",
        "_writable",
        "deadline",
        "peer",
    )

    def __init__(self, server: "Server") -> None:
        self._server = server
        self._parser = httptools.HttpRequestParser(self)
        self._queue: deque[Exchange] = deque()
        self._answering: Exchange | None = None
        self._arriving: Exchange | None = None
        self._closing = False
        self._wanted = False
        self._writable = True
        self._header_bytes = 0
        self.deadline = server.now() + server.limits.header_timeout_s
        self.peer = ("", 0)

    @property
    def busy(self) -> bool:
        """A request is being answered or has begun to arrive."""
        return self._answering is not None or self._arriving is not None or self._header_bytes > 0

    def close(self) -> None:
        self._closing = True
        self._transport.close()

    def abort(self) -> None:
        self._closing = True
        self._transport.abort()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        if isinstance(peer, tuple):
            self.peer = (str(peer[0]), int(peer[1]))
        if not self._server.admit(self):
            self._refuse(_Refused(503))

    def connection_lost(self, exc: Exception | None) -> None:
        self._closing = True
        self._server.forget(self)
        for exchange in (self._answering, *self._queue):
            if exchange is not None:
                exchange.disconnected()
        self._queue.clear()
        self._answering = None

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        try:
            self._feed(data)
        except httptools.HttpParserError as error:
            cause = error.__context__
            self._refuse(cause if isinstance(cause, _Refused) else _Refused(400))
        if self._answering is None:
            self._next()

    def _feed(self, data: bytes) -> None:
        """Parse. A client that would like to speak something else from here on is answered in HTTP/1.1."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            method = self._parser.get_method()
            self._parser = httptools.HttpRequestParser(self)
            lines = [b"%b %b HTTP/1.1\r\n" % (method, self._target)]
            lines += [
                f"{name}: {value}\r\n".encode("latin-1")
                for name, value in self._headers.pairs()
                if name != "upgrade"
            ]
            self._feed(b"".join(lines) + b"\r\n" + data[upgrade.args[0] :])

    def pause_writing(self) -> None:
        self._writable = False
        self.deadline = self._server.now() + self._server.limits.write_timeout_s

    def resume_writing(self) -> None:
        self._writable = True
        self.deadline = 0.0
        if self._answering is not None and self._answering.on_writable is not None:
            self._answering.on_writable()

    # What the parser calls.

    def on_message_begin(self) -> None:
        self._target = b""
        self._headers = Headers()
        self._header_lines = 0
        self._header_bytes = 1
        if self._answering is None:
            self.deadline = self._server.now() + self._server.limits.header_timeout_s

    def on_url(self, url: bytes) -> None:
        self._target += url
        if len(self._target) > self._server.limits.target_bytes:
            raise _Refused(414)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_bytes += len(name) + len(value)
        self._header_lines += 1
        self._headers.add(name.decode("latin-1").lower(), value.decode("latin-1"))
        limits = self._server.limits
        if self._header_bytes > limits.header_bytes or self._header_lines > limits.header_count:
            raise _Refused(400, "400 Request Header Or Cookie Too Large")

    def on_headers_complete(self) -> None:
        method = self._parser.get_method().decode("latin-1")
        if self._parser.should_upgrade() and method != "CONNECT":
            return
        headers = self._headers
        version = self._parser.get_http_version()
        if method == "CONNECT" or not _is_host(headers.value("host"), optional=version != "1.1"):
            raise _Refused(400)
        # What the parser does not count: the spaces, colons and line ends.
        head_bytes = self._header_bytes + len(method) + len(self._target) + 4 * self._header_lines + 12
        self._header_bytes = 0
        self._arriving = Exchange(
            self,
            method=method,
            target=self._target.decode("latin-1"),
            headers=headers,
            http_version=version,
            keep_alive=self._parser.should_keep_alive() and not self._server.draining,
            peer=self.peer,
            port=self._server.port,
            head_bytes=head_bytes,
        )
        self._queue.append(self._arriving)
        if len(self._queue) > _QUEUED_REQUESTS:
            self._transport.pause_reading()

    def on_body(self, data: bytes) -> None:
        exchange = self._arriving
        if exchange is None:
            return
        exchange.body_part(data)
        limits = self._server.limits
        if exchange.body_received > limits.body_bytes:
            raise _Refused(413)
        if exchange.body_received > _READ_AHEAD and not (exchange is self._answering and self._wanted):
            self._transport.pause_reading()
        self.deadline = self._server.now() + limits.body_timeout_s

    def on_message_complete(self) -> None:
        exchange, self._arriving = self._arriving, None
        if exchange is not None:
            exchange.body_end()
            self.deadline = 0.0

    # What the exchange calls.

    def write(self, data: bytes) -> None:
        if not self._closing:
            self._transport.write(data)

    def want_body(self) -> None:
        exchange = self._answering
        self._wanted = True
        if exchange is None or self._closing:
            return
        if (exchange.headers.get("expect") or "").lower() == "100-continue" and not exchange.body_received:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.deadline = self._server.now() + self._server.limits.body_timeout_s
        self._transport.resume_reading()

    def answered(self, exchange: Exchange, *, keep_alive: bool) -> None:
        if self._closing or exchange is not self._answering:
            return
        self._answering = None
        self._wanted = False
        if not keep_alive or self._server.draining:
            self._linger() if self._arriving is exchange else self.close()
            return
        self.deadline = self._server.now() + self._server.limits.idle_timeout_s
        if self._queue:
            self._server.soon(self._next)

    def cut(self) -> None:
        self.abort()

    @property
    def saturated(self) -> bool:
        return not self._writable

    # Ours.

    def _next(self) -> None:
        """Answer the oldest request that has arrived."""
        if self._answering is not None or self._closing or not self._queue:
            return
        self._answering = exchange = self._queue.popleft()
        if exchange.body_complete:
            self.deadline = 0.0
        if len(self._queue) == _QUEUED_REQUESTS:
            self._transport.resume_reading()
        self._server.answer(exchange)

    def _refuse(self, refused: _Refused) -> None:
        """Answer with an error page and close; an answer that has begun can only be cut off."""
        if self._answering is not None and self._answering.started:
            self.abort()
            return
        for exchange in (self._answering, *self._queue):
            if exchange is not None:
                exchange.disconnected()
        self._answering = None
        self._queue.clear()
        page = error_page(refused.status, refused.title) or b""
        head = (
            f"HTTP/1.1 {refused.status} {reason(refused.status)}\r\n"
            f"Content-Type: text/html; charset=utf-8\r\n"
            f"Content-Length: {len(page)}\r\nConnection: close\r\n\r\n"
        )
        self._transport.write(head.encode() + page)
        self._linger()

    def _linger(self) -> None:
        """Close so that the client can still read the answer although it has not sent everything."""
        self._closing = True
        self.deadline = self._server.now() + _LINGER_S
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._transport.resume_reading()


def _is_host(values: Value | None, *, optional: bool) -> bool:
    """Whether a request has one Host that can be one."""
    if values is None:
        return optional
    return isinstance(values, str) and _HOST.fullmatch(values) is not None
