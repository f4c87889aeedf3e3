"""Writes over kept connections, with as little work for each as can be.

A client that can do everything spends about a millisecond of CPU on a request, and a first apply is tens of
thousands of writes: they would wait for their client more than for the gateway.
"""

import asyncio
import urllib.request
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import cast
from urllib.parse import quote, urlsplit

import httptools
import httpx

WRITES = frozenset({"PUT", "DELETE"})
_LINE_ENDS = ("\r", "\n")
_PLAIN = "/?&=%:@!$'()*+,;~"


def direct(url: str) -> bool:
    """Whether the gateway is reached without a proxy, as far as the environment says."""
    parts = urlsplit(url)
    proxies = urllib.request.getproxies()
    return not (parts.scheme in proxies or "all" in proxies) or bool(
        urllib.request.proxy_bypass(parts.netloc)
    )


class Writer:
    """Sends PUT and DELETE, which may be repeated without harm, over a few connections of its own.

    A request that finds its kept connection closed is sent again over a new one. Raises httpx's own errors.
    """

    def __init__(
        self, base_url: str, headers: Mapping[str, str], *, connections: int, timeout_s: float
    ) -> None:
        url = httpx.URL(base_url)
        self._host, self._port = url.host, url.port or (443 if url.scheme == "https" else 80)
        self._tls = httpx.create_ssl_context() if url.scheme == "https" else None
        self._base = url.raw_path
        self._always = _lines({"Host": url.netloc.decode(), "Accept": "*/*", **headers})
        self._timeout_s = timeout_s
        self._gate = asyncio.Semaphore(connections)
        self._idle: list[_Connection] = []
        self._open: set[_Connection] = set()

    async def send(
        self, method: str, path: str, content: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """What is answered to a write below the base address; of a success nothing but its status."""
        data = self._request(method, path, content, headers or {})
        async with self._gate:
            while self._idle:
                connection = self._idle.pop()
                try:
                    return await self._exchange(connection, data)
                except _ClosedWhileIdle:
                    continue
            return await self._exchange(await self._connect(), data)

    async def close(self) -> None:
        for connection in list(self._open):
            connection.close()
        self._open.clear()
        self._idle.clear()

    def _request(self, method: str, path: str, content: bytes | None, headers: Mapping[str, str]) -> bytes:
        body = content or b""
        target = self._base + quote(path, safe=_PLAIN).encode()
        own = _own_lines(tuple(headers.items())) if headers else b""
        length = b"" if content is None else b"Content-Length: %d\r\n" % len(body)
        return b"%b %b HTTP/1.1\r\n%b%b%b\r\n%b" % (
            *(method.encode(), target),
            *(self._always, own, length, body),
        )

    async def _connect(self) -> "_Connection":
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._timeout_s):
                _, connection = await loop.create_connection(
                    _Connection, self._host, self._port, ssl=self._tls
                )
        except TimeoutError:
            raise httpx.ConnectTimeout(f"no connection within {self._timeout_s:g} s") from None
        except OSError as error:
            raise httpx.ConnectError(str(error)) from error
        self._open.add(connection)
        return connection

    async def _exchange(self, connection: "_Connection", data: bytes) -> httpx.Response:
        try:
            return await connection.ask(data, self._timeout_s)
        finally:
            self._put_back(connection)

    def _put_back(self, connection: "_Connection") -> None:
        """Keep a connection whose answer is complete; no other can be used again."""
        if connection.reusable:
            self._idle.append(connection)
        else:
            connection.close()
            self._open.discard(connection)


class _ClosedWhileIdle(httpx.RemoteProtocolError):
    """A kept connection ended before anything of the answer came."""


class _Connection(asyncio.Protocol):
    """One connection, used for one request at a time."""

    def __init__(self) -> None:
        self._answer: asyncio.Future[httpx.Response] | None = None
        self._asked = 0
        self._closed = False
        self.reusable = False

    async def ask(self, data: bytes, timeout_s: float) -> httpx.Response:
        """Send a request and wait for the whole of its answer."""
        if self._closed:
            raise _ClosedWhileIdle("the kept connection is closed")
        self._asked += 1
        self.reusable = False
        self._parser = httptools.HttpResponseParser(self)
        self._begin()
        self._heard = False
        loop = asyncio.get_running_loop()
        self._answer = loop.create_future()
        patience = loop.call_later(timeout_s, self._late, timeout_s)
        try:
            self._transport.write(data)
            return await self._answer
        finally:
            patience.cancel()

    def close(self) -> None:
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._heard = True
        if self._answer is None or self._answer.done():
            self._transport.abort()  # nothing was asked
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(httpx.RemoteProtocolError(f"what was answered is no HTTP: {error}"))
            self._transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        self._closed = True
        self.reusable = False
        if self._answer is None or self._answer.done():
            return
        if self._until_end and error is None:
            self._give()
        elif self._asked > 1 and not self._heard:
            self._fail(_ClosedWhileIdle("the kept connection was closed"))
        else:
            why = f": {error}" if error else ""
            self._fail(httpx.ReadError(f"the connection ended before the answer was complete{why}"))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        names = {name.lower() for name, _ in self._headers}
        self._until_end = not names & {b"content-length", b"transfer-encoding"}

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        if self._parser.get_status_code() < httpx.codes.OK:
            self._begin()  # the answer proper follows
            return
        self.reusable = self._parser.should_keep_alive() and not self._closed
        self._give()

    def _begin(self) -> None:
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._until_end = False

    def _give(self) -> None:
        status, body = self._parser.get_status_code(), b"".join(self._body)
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(_answer(status, self._headers, body))

    def _late(self, after_s: float) -> None:
        self._fail(httpx.ReadTimeout(f"no answer within {after_s:g} s"))

    def _fail(self, error: httpx.TransportError) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)


def _answer(status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> httpx.Response:
    if httpx.codes.is_success(status):
        return _taken(status)
    return httpx.Response(status, headers=headers, content=body)


@cache
def _taken(status: int) -> httpx.Response:
    """One for all: what was written need not be read again."""
    return httpx.Response(status)


@lru_cache(maxsize=64)
def _own_lines(headers: tuple[tuple[str, str], ...]) -> bytes:
    """The lines of what is alike in nearly all requests."""
    return _lines(dict(headers))


def _lines(headers: Mapping[str, str]) -> bytes:
    """The lines of a head. Raises httpx.LocalProtocolError."""
    for name, value in headers.items():
        if any(end in name or end in value for end in _LINE_ENDS):
            raise httpx.LocalProtocolError(f"the header {name!r} has a line end")
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode()
