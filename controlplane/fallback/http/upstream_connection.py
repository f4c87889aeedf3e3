"""One connection to a provider, used for one request at a time."""

import asyncio
from enum import Enum, auto
from typing import TYPE_CHECKING, cast

import httptools

from controlplane.fallback.http.answers import (
    Answer,
    ClosedWhileIdle,
    Origin,
    Patience,
    Sink,
    TooMuch,
    UpstreamFailed,
)
from controlplane.fallback.http.headers import Headers

if TYPE_CHECKING:
    from controlplane.fallback.http.upstream import Pool


class State(Enum):
    """Where a connection is with its request."""

    IDLE = auto()
    ASKED = auto()  # the answer's head, or all of it, is awaited
    UNCLAIMED = auto()  # the head was given out; nobody has attached a sink yet
    FLOWING = auto()  # the body goes to a sink as it arrives


class UpstreamConnection(asyncio.Protocol):
    """Sends a request, parses the answer, gives itself back to the pool when the answer is complete."""

    __slots__ = (
        "_answer",
        "_bodiless",
        "_checked_by",
        "_complete",
        "_error",
        "_head_done",
        "_headers",
        "_last_read",
        "_parser",
        "_parts",
        "_patience",
        "_paused",
        "_pool",
        "_received",
        "_reusable",
        "_sink",
        "_state",
        "_stopping",
        "_streams",
        "_timer",
        "_transport",
        "_used",
        "closed",
        "expires",
        "origin",
    )

    def __init__(self, pool: "Pool", origin: Origin) -> None:
        self._pool = pool
        self.origin = origin
        self.expires = 0.0
        self.closed = False
        self._state = State.IDLE
        self._used = False
        self._error: UpstreamFailed | None = None
        self._answer: asyncio.Future[Answer] | None = None
        self._sink: Sink | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._checked_by = 0.0
        self._paused = False
        self._stopping = False

    async def exchange(self, request: bytes, patience: Patience, streams: tuple[str, ...]) -> Answer:
        """Send one request; see Pool.send."""
        loop = self._pool.loop
        answer: asyncio.Future[Answer] = loop.create_future()
        self._state = State.ASKED
        self._answer = answer
        self._parser = httptools.HttpResponseParser(self)
        self._headers = Headers()
        self._parts: list[bytes] = []
        self._received = 0
        self._head_done = self._complete = False
        self._reusable = True
        self._bodiless = request.startswith(b"HEAD ")
        self._patience = patience
        self._streams = streams
        self._last_read = loop.time()
        self._be_checked_by(self._last_read + patience.timeout_s)
        self._transport.write(request)
        try:
            return await answer
        except asyncio.CancelledError:
            self.abort()
            raise

    def attach(self, sink: Sink) -> None:
        if self._error is not None:
            sink.failed(self._error)
            return
        self._state = State.FLOWING
        self._sink = sink
        self._deliver()

    def pause(self) -> None:
        if not self._paused and not self.closed:
            self._paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._paused and not self.closed:
            self._paused = False
            self._last_read = self._pool.now()
            self._transport.resume_reading()

    def abort(self) -> None:
        self._state = State.IDLE
        self._sink = None
        self._answer = None
        self._stop_timer()
        self._transport.abort()

    def stop(self, grace_s: float) -> None:
        if self.closed or self._complete:
            return
        self._stopping = True
        self.resume()
        self._stop_timer()
        if self._transport.can_write_eof():
            self._transport.write_eof()
            self._timer = self._pool.loop.call_later(grace_s, self._stopped)
        else:
            self._stopped()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._pool.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self._pool.forget(self)
        if self._state is State.IDLE or self._complete:
            self._stop_timer()
        elif exc is None and self._ends_with_the_connection():
            self._message_complete(reusable=False)
            self._deliver()
        elif exc is None and self._used and not self._head_done and self._answer is not None:
            self._stop_timer()
            self._answer.set_exception(ClosedWhileIdle())
        else:
            self._fail(UpstreamFailed(f"the connection was closed: {exc or 'end of file'}"))

    def data_received(self, data: bytes) -> None:
        if self._state is State.IDLE:
            # Nothing was asked, so nothing that is said now can be trusted.
            self.abort()
            return
        self._last_read = self._pool.now()
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail(UpstreamFailed("the answer is not HTTP"))
            return
        self._deliver()

    # What the parser calls.

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.add(name.decode("latin-1").lower(), value.decode("latin-1"))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:
            self._headers = Headers()
            return
        self._head_done = True
        limit, length = self._patience.max_bytes, self._headers.get("content-length")
        if limit is not None and length and length.isdigit() and int(length) > limit:
            self._fail(TooMuch("max_response_bytes exceeded", answered=True))
        elif (self._headers.get("content-type") or "").startswith(self._streams):
            self._give(State.UNCLAIMED, Answer(status, self._headers, None, self))
        if self._bodiless:
            # The parser does not know that no body follows, whatever the headers say.
            self._message_complete(reusable=False)

    def on_body(self, body: bytes) -> None:
        self._received += len(body)
        self._parts.append(body)
        limit = self._patience.max_bytes
        if limit is not None and self._received > limit and self._state is State.ASKED:
            self._fail(TooMuch("max_response_bytes exceeded", answered=True))

    def on_message_complete(self) -> None:
        if self._head_done and not self._complete:
            self._message_complete(reusable=self._parser.should_keep_alive())

    # Ours.

    def _message_complete(self, *, reusable: bool) -> None:
        self._complete = self._used = True
        self._reusable = reusable
        if self._stopping:
            self._stop_timer()
        if self._state is State.ASKED:
            parts, self._parts = self._parts, []
            status = self._parser.get_status_code()
            self._give(State.IDLE, Answer(status, self._headers, b"".join(parts), self))
            self._release()

    def _give(self, state: State, given: Answer) -> None:
        self._state = state
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_result(given)

    def _deliver(self) -> None:
        """Pass on what has arrived, and the end if it has come."""
        sink = self._sink
        if sink is None:
            return
        if self._parts:
            parts, self._parts = self._parts, []
            sink.data(parts[0] if len(parts) == 1 else b"".join(parts))
        if self._complete and self._sink is not None:
            self._state = State.IDLE
            self._sink = None
            self._release()
            sink.end()

    def _release(self) -> None:
        if self.closed:
            return
        if self._reusable and not self._paused and not self._stopping:
            self._pool.give_back(self, self._patience)
        else:
            self._transport.close()

    def _fail(self, error: UpstreamFailed) -> None:
        answer, sink = self._answer, self._sink
        self._error = error
        self.abort()
        if answer is not None and not answer.done():
            answer.set_exception(error)
        if sink is not None:
            sink.failed(error)

    def _ends_with_the_connection(self) -> bool:
        return (
            self._head_done
            and "content-length" not in self._headers
            and "transfer-encoding" not in self._headers
        )

    def _be_checked_by(self, when: float) -> None:
        """Check the time then or sooner. What is done in time leaves its timer to the connection's next
        request: to set one and cancel it again would cost every call.
        """
        if self._timer is not None:
            if self._checked_by <= when:
                return
            self._timer.cancel()
        self._checked_by = when
        self._timer = self._pool.loop.call_at(when, self._check_time)

    def _check_time(self) -> None:
        """Fail when nothing has been read for too long; what we paused ourselves is no silence."""
        self._timer = None
        if self._state is State.IDLE or self._complete:
            return
        now = self._pool.now()
        waited = 0.0 if self._paused else now - self._last_read
        left = self._patience.timeout_s - waited
        if left > 0.001:
            self._be_checked_by(now + left)
            return
        self._fail(UpstreamFailed("reading timed out", timed_out=True, answered=self._head_done))

    def _stopped(self) -> None:
        self._timer = None
        self._fail(UpstreamFailed("stopped because nobody reads it"))

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
