"""One connection to a Redis: commands out in the order in which they were asked, replies back in the same."""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import hiredis

from controlplane.fallback.counters.windows import CountersGone

Argument = str | bytes | int | float
Hear = Callable[[Any], None]
"""Takes a reply, or the CountersGone that came instead of it."""


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """Where a Redis is, who we are there, and how long to wait for it."""

    host: str
    port: int = 6379
    database: int = 0
    username: str | None = None
    password: str | None = None
    timeout_s: float = 1.0
    tls: bool = False
    verify: bool = False

    def tls_context(self) -> ssl.SSLContext | None:
        if not self.tls:
            return None
        context = ssl.create_default_context()
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


_SECOND_CHANCE_S = 0.02
_HOPELESS = 10
"""After so many time-outs without a single reply a connection is given up."""


class RedisConnection(asyncio.Protocol):
    """Sends commands and matches replies to them.

    Whoever waits for a reply waits no longer than the time-out. The command itself is on its way, though, and
    so are those behind it: only a connection on which nothing comes any more is closed.
    """

    def __init__(self, address: RedisAddress, loop: asyncio.AbstractEventLoop) -> None:
        self._address = address
        self._loop = loop
        self._reader = hiredis.Reader(encoding="utf-8", errors="replace")
        self._waiting: deque[tuple[asyncio.Future[Any] | Hear, float]] = deque()
        self._hurried: deque[tuple[asyncio.Future[Any], float]] = deque()
        self._outgoing: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None
        self._suspect: asyncio.Future[Any] | None = None
        self.closed = False

    def send(self, parts: tuple[Argument, ...], *, patient: bool = False) -> asyncio.Future[Any]:
        """A future of the reply. A Redis error is a reply; CountersGone is raised when there is none.

        A patient sender waits for as long as the connection lives.
        """
        future: asyncio.Future[Any] = self._loop.create_future()
        if self.closed:
            future.set_exception(CountersGone("the connection to Redis was lost"))
            return future
        late = self._send(parts, future)
        if not patient:
            self._hurried.append((future, late))
        return future

    def post(self, parts: tuple[Argument, ...], hear: Hear) -> None:
        """Send a command whose reply, or the lack of one, is told; for as long as the connection lives."""
        if self.closed:
            hear(CountersGone("the connection to Redis was lost"))
        else:
            self._send(parts, hear)

    async def greet(self) -> None:
        """Say who we are and choose the database."""
        address = self._address
        replies = []
        if address.password:
            who = (address.username, address.password) if address.username else (address.password,)
            replies.append(self.send(("AUTH", *who)))
        if address.database:
            replies.append(self.send(("SELECT", address.database)))
        for reply in replies:
            answer = await reply
            if isinstance(answer, hiredis.ReplyError):
                self.close()
                raise CountersGone(f"{address.host}:{address.port}: {answer}")

    async def drain(self) -> None:
        """Wait until everything that was sent has its reply, or cannot have one."""
        if self._waiting:
            last = self.send(("PING",), patient=True)
            await asyncio.wait([last], timeout=self._address.timeout_s)

    def close(self) -> None:
        self._fail("the connection to Redis was closed")
        self._transport.abort()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        try:
            while (reply := self._reader.gets()) is not False:
                if not self._waiting:
                    self.close()
                    return
                waiter, _ = self._waiting.popleft()
                if not isinstance(waiter, asyncio.Future):
                    waiter(reply)
                elif not waiter.done():
                    waiter.set_result(reply)
        except hiredis.ProtocolError:
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail("the connection to Redis was lost")

    # Ours.

    def _send(self, parts: tuple[Argument, ...], waiter: asyncio.Future[Any] | Hear) -> float:
        """Put it into the next write; until when its reply is no longer in time."""
        if not self._outgoing:
            self._loop.call_soon(self._flush)
        self._outgoing.append(hiredis.pack_command(parts))  # type: ignore[arg-type]  # the stub means any length
        late = self._loop.time() + self._address.timeout_s
        self._waiting.append((waiter, late))
        if self._timer is None:
            self._timer = self._loop.call_later(self._address.timeout_s, self._check_time)
        return late

    def _flush(self) -> None:
        outgoing, self._outgoing = self._outgoing, []
        if not self.closed:
            self._transport.write(outgoing[0] if len(outgoing) == 1 else b"".join(outgoing))

    def _fail(self, reason: str) -> None:
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waiting, self._waiting = self._waiting, deque()
        self._hurried.clear()
        for waiter, _ in waiting:
            if not isinstance(waiter, asyncio.Future):
                waiter(CountersGone(reason))
            elif not waiter.done():
                waiter.set_exception(CountersGone(reason))

    def _check_time(self) -> None:
        """Let those go who have waited long enough; give up when nothing comes at all."""
        self._timer = None
        now, timeout = self._loop.time(), self._address.timeout_s
        oldest = self._hurried[0] if self._hurried else None
        if oldest is not None and oldest[1] <= now and self._suspect is not oldest[0]:
            # Its reply may be there, unread, if this process was busy elsewhere.
            self._suspect = oldest[0]
            self._timer = self._loop.call_later(_SECOND_CHANCE_S, self._check_time)
            return
        while self._hurried and (self._hurried[0][0].done() or self._hurried[0][1] <= now):
            future, _ = self._hurried.popleft()
            if not future.done():
                future.set_exception(CountersGone("Redis does not answer in time"))
        if not self._waiting:
            return
        if now - self._waiting[0][1] >= (_HOPELESS - 1) * timeout:
            self._fail("Redis does not answer")
            self._transport.abort()
            return
        wait = self._hurried[0][1] - now if self._hurried else timeout
        self._timer = self._loop.call_later(max(wait, 0.001), self._check_time)
