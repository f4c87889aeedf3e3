"""Writes over kept connections, with as little work for each as can be.

A client that can do everything spends about a millisecond of CPU on a request, and a first apply is tens of
thousands of writes: they would wait for their client more than for the gateway. Everything else is handed to
another transport.
"""

import asyncio
import ssl
import urllib.request
from typing import cast
from urllib.parse import urlsplit

import httptools
import httpx

WRITES = frozenset({"PUT", "DELETE"})
_LINE_ENDS = (b"\r", b"\n")


def direct(url: str, connections: int) -> httpx.AsyncBaseTransport | None:
    """The transport for a gateway that is reached without a proxy; None where the environment names one."""
    parts = urlsplit(url)
    proxies = urllib.request.getproxies()
    if (parts.scheme in proxies or "all" in proxies) and not urllib.request.proxy_bypass(parts.netloc):
        return None
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    tls = httpx.create_ssl_context() if parts.scheme == "https" else None
    # Without TLS there is nothing to verify, and the certificates of a machine take a while to read.
    others = httpx.AsyncHTTPTransport(verify=tls or False, limits=limits)
    return WriteTransport(others, connections=connections, tls=tls)


class WriteTransport(httpx.AsyncBaseTransport):
    """Sends PUT and DELETE, which may be repeated without harm, over a few connections of its own.

    A request that finds its kept connection closed is sent again over a new one. Raises httpx's own errors.
    """

    def __init__(
        self, others: httpx.AsyncBaseTransport, *, connections: int, tls: ssl.SSLContext | None = None
    ) -> None:
        self._others = others
        self._tls = tls
        self._gate = asyncio.Semaphore(connections)
        self._idle: list[_Connection] = []
        self._open: set[_Connection] = set()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method not in WRITES:
            return await self._others.handle_async_request(request)
        data = _head(request) + await request.aread()
        patience: dict[str, float | None] = request.extensions.get("timeout", {})
        async with self._gate:
            while self._idle:
                connection = self._idle.pop()
                try:
                    return await self._exchange(connection, data, patience)
                except _ClosedWhileIdle:
                    continue
            connection = await self._connect(request.url, patience.get("connect"))
            return await self._exchange(connection, data, patience)

    async def aclose(self) -> None:
        for connection in list(self._open):
            connection.close()
        self._open.clear()
        self._idle.clear()
        await self._others.aclose()

    async def _connect(self, url: httpx.URL, timeout_s: float | None) -> "_Connection":
        port = url.port or (80 if self._tls is None else 443)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout_s):
                _, connection = await loop.create_connection(_Connection, url.host, port, ssl=self._tls)
        except TimeoutError:
            raise httpx.ConnectTimeout(f"no connection within {timeout_s:g} s") from None
        except OSError as error:
            raise httpx.ConnectError(str(error)) from error
        self._open.add(connection)
        return connection

    async def _exchange(
        self, connection: "_Connection", data: bytes, patience: dict[str, float | None]
    ) -> httpx.Response:
        timeout_s = patience.get("read")
        try:
            async with asyncio.timeout(timeout_s):
                answer = await connection.ask(data)
        except TimeoutError:
            raise httpx.ReadTimeout(f"no answer within {timeout_s:g} s") from None
        finally:
            self._put_back(connection)
        return answer

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

    async def ask(self, data: bytes) -> httpx.Response:
        """Send a request and wait for the whole of its answer."""
        if self._closed:
            raise _ClosedWhileIdle("the kept connection is closed")
        self._asked += 1
        self.reusable = False
        self._parser = httptools.HttpResponseParser(self)
        self._begin()
        self._heard = False
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(data)
        return await self._answer

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
            self._answer.set_result(httpx.Response(status, headers=self._headers, content=body))

    def _fail(self, error: httpx.TransportError) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)


def _head(request: httpx.Request) -> bytes:
    lines = [b"%b %b HTTP/1.1" % (request.method.encode(), request.url.raw_path)]
    for name, value in request.headers.raw:
        if any(end in name or end in value for end in _LINE_ENDS):
            raise httpx.LocalProtocolError(f"the header {name.decode(errors='replace')!r} has a line end")
        lines.append(b"%b: %b" % (name, value))
    return b"\r\n".join(lines) + b"\r\n\r\n"
