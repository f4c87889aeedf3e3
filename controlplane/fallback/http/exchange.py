"""One request and its answer, as the rest of the gateway sees them."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Protocol

from controlplane.fallback.http.headers import Headers
from controlplane.fallback.http.pages import reason


class BodyTooLarge(Exception):
    """The request's body is larger than the caller of `body` allows."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"request size {size} is greater than the maximum size {limit} allowed")


class ClientGone(Exception):
    """The client left before its request was complete."""


class Wire(Protocol):
    """What an exchange needs of its connection."""

    def write(self, data: bytes) -> None: ...

    def want_body(self) -> None:
        """The body is about to be read: tell a client that waits for `100 Continue`, and let it flow."""

    def answered(self, exchange: "Exchange", *, keep_alive: bool) -> None:
        """The answer is complete."""

    def cut(self) -> None:
        """Close the connection so that the client sees an incomplete answer."""

    @property
    def saturated(self) -> bool:
        """The client does not keep up with what is written."""


class Exchange:
    """A request whose headers are complete, and the answer to it.

    The body may still be arriving: `body` waits for it, `body_complete` says whether it has to. Exactly one
    of `respond`, or `start` with `write` and `finish`, is called. `closed` turns true when the client is
    gone; writing is then harmless.
    """

    __slots__ = (
        "_body_limit",
        "_chunked",
        "_keep_alive",
        "_parts",
        "_waiter",
        "_wire",
        "body_complete",
        "body_received",
        "bytes_sent",
        "closed",
        "head_bytes",
        "headers",
        "http_version",
        "method",
        "on_closed",
        "on_writable",
        "peer",
        "port",
        "started",
        "target",
    )

    def __init__(
        self,
        wire: Wire,
        *,
        method: str,
        target: str,
        headers: Headers,
        http_version: str,
        keep_alive: bool,
        peer: tuple[str, int],
        port: int,
        head_bytes: int = 0,
    ) -> None:
        self.method = method
        self.target = target
        self.headers = headers
        self.http_version = http_version
        self.peer = peer
        self.port = port
        self.head_bytes = head_bytes
        self.bytes_sent = 0
        self.closed = False
        self.started = False
        self.on_closed: Callable[[], None] | None = None
        self.on_writable: Callable[[], None] | None = None
        self._wire = wire
        self._keep_alive = keep_alive
        self._chunked = False
        self._parts: list[bytes] = []
        self.body_received = 0
        self.body_complete = False
        self._body_limit: int | None = None
        self._waiter: asyncio.Future[None] | None = None

    # The request's body.

    async def body(self, limit: int) -> bytes:
        """The whole body; BodyTooLarge as soon as it is known to be over the limit."""
        self._check_size(limit)
        if not self.body_complete:
            self._body_limit = limit
            self._waiter = asyncio.get_running_loop().create_future()
            self._wire.want_body()
            await self._waiter
        return self.body_so_far()

    def body_so_far(self) -> bytes:
        """What has arrived of the body: all of it once `body_complete` is true."""
        if len(self._parts) > 1:
            self._parts = [b"".join(self._parts)]
        return self._parts[0] if self._parts else b""

    def body_part(self, data: bytes) -> None:
        """A part of the body has arrived (called by the connection)."""
        self._parts.append(data)
        self.body_received += len(data)
        limit = self._body_limit
        if self._waiter is not None and limit is not None and self.body_received > limit:
            self._resolve(BodyTooLarge(self.body_received, limit))

    def body_end(self) -> None:
        """The body is complete (called by the connection)."""
        self.body_complete = True
        self._resolve(None)

    def _check_size(self, limit: int) -> None:
        announced = self.headers.get("content-length")
        size = int(announced) if announced and announced.isascii() and announced.isdigit() else 0
        size = max(size, self.body_received)
        if size > limit:
            raise BodyTooLarge(size, limit)

    def _resolve(self, error: Exception | None) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is None or waiter.done():
            return
        if error is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(error)

    # The answer.

    def respond(self, status: int, headers: Iterable[tuple[str, str]], body: bytes) -> None:
        """Send a whole answer."""
        self.started = True
        head = self._head(status, headers)
        if status >= 200 and status not in (204, 304):
            head += f"Content-Length: {len(body)}\r\n"
        keep_alive = self._may_keep_alive()
        if not keep_alive:
            head += "Connection: close\r\n"
        sent = b"" if self.method == "HEAD" or status in (204, 304) else body
        self._send(head.encode("latin-1", "replace") + b"\r\n" + sent)
        self._wire.answered(self, keep_alive=keep_alive)

    def start(self, status: int, headers: Iterable[tuple[str, str]], first: bytes = b"") -> None:
        """Send the head of an answer that is still arriving, with what there is of the body.

        Its length is unknown unless the headers have it.
        """
        self.started = True
        fields = list(headers)
        delimited = self.method == "HEAD" or status in (204, 304) or _has_length(fields)
        self._chunked = self.http_version == "1.1" and not delimited
        self._keep_alive = (self._chunked or delimited) and self._may_keep_alive()
        head = self._head(status, fields)
        head += "Transfer-Encoding: chunked\r\n" if self._chunked else ""
        head += "" if self._keep_alive else "Connection: close\r\n"
        self._send(head.encode("latin-1", "replace") + b"\r\n" + self._framed(first))

    def write(self, data: bytes) -> None:
        """Send more of the body."""
        self._send(self._framed(data))

    def finish(self, data: bytes = b"") -> None:
        """Send the last of the body."""
        self._send(self._framed(data) + (b"0\r\n\r\n" if self._chunked else b""))
        self._wire.answered(self, keep_alive=self._keep_alive)

    def break_off(self) -> None:
        """The rest of a started answer cannot be had: let the client see that it is incomplete."""
        self._wire.cut()

    @property
    def saturated(self) -> bool:
        """The client does not keep up; `on_writable` is called when it does."""
        return self._wire.saturated

    def disconnected(self) -> None:
        """The client is gone (called by the connection)."""
        self.closed = True
        self._resolve(ClientGone())
        if self.on_closed is not None:
            self.on_closed()

    def _send(self, data: bytes) -> None:
        self.bytes_sent += len(data)
        self._wire.write(data)

    def _framed(self, data: bytes) -> bytes:
        if not data or self.method == "HEAD":
            return b""
        return b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data

    def _may_keep_alive(self) -> bool:
        # What is left of an unread body would be taken for the next request.
        return self._keep_alive and self.body_complete

    def _head(self, status: int, headers: Iterable[tuple[str, str]]) -> str:
        lines = [f"HTTP/1.1 {status} {reason(status)}\r\n"]
        lines += [f"{name}: {value}\r\n" for name, value in headers]
        return "".join(lines)


def _has_length(fields: Iterable[tuple[str, str]]) -> bool:
    return any(name.lower() == "content-length" for name, _ in fields)
