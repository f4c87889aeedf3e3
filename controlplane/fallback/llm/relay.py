"""Passes a provider's stream on to the client as it arrives, and knows what it cost."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from controlplane.fallback.http.answers import Answer, UpstreamFailed
from controlplane.fallback.llm.protocols import Meter

# How long to listen to a provider that was told to stop.
STOP_GRACE_S = 1.0
# The same for one that was held back, because its client did not read: it must not make up for that now.
HELD_BACK_GRACE_S = 0.1


class Transform(Protocol):
    """Turns a stream into another protocol's."""

    def feed(self, data: bytes) -> bytes: ...


class Outlet(Protocol):
    """Where the stream goes to."""

    def data(self, data: bytes) -> None: ...

    def end(self) -> None: ...

    def broken(self) -> None:
        """The provider did not finish what it began."""

    @property
    def saturated(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long a stream may last and how large it may become; None is no bound."""

    seconds: float | None = None
    bytes: int | None = None


class StreamEmpty(Exception):
    """The stream ended before it had anything for the client."""


class BoundReached(Exception):
    """The stream was cut off before it had anything for the client. The message names the bound."""


class Relay:
    """A stream under way. Nothing is sent before `first` has returned and `open` was called, so that a stream
    that breaks before its first event can still be answered by another member.
    """

    def __init__(
        self,
        answer: Answer,
        meter: Meter,
        transform: Transform | None,
        bounds: Bounds,
        now: Callable[[], float],
    ) -> None:
        self.answer = answer
        self.meter = meter
        self.first_data_at: float | None = None
        self._transform = transform
        self._bounds = bounds
        self._now = now
        self._started = now()
        self._received = 0
        self._held: list[bytes] = []
        self._outlet: Outlet | None = None
        self._ended = False
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._waiting_for_client = False
        self._over: Callable[[], None] | None = None

    async def first(self) -> None:
        """Wait for something that can be sent; the exception says why there will be nothing."""
        self.answer.attach(self)
        if not self._held and not self._ended and self._error is None:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            except asyncio.CancelledError:
                self.answer.abort()
                raise
        if self._held:
            return
        if self._error is not None:
            raise self._error
        if self._transform is not None:
            raise StreamEmpty

    def open(self, outlet: Outlet) -> None:
        """Send what is held, and from now on everything as it arrives."""
        self._outlet = outlet
        held, self._held = self._held, []
        if held:
            outlet.data(b"".join(held))
        if self._error is not None:
            outlet.broken()
        elif self._ended:
            outlet.end()
        else:
            self._mind_the_client()

    def client_left(self, over: Callable[[], None]) -> None:
        """Nobody reads any more: tell the provider to stop.

        `over` is called when everything that it had sent by then has gone past the meter.
        """
        self._outlet = None
        if self._ended or self._error is not None:
            over()
            return
        self._over = over
        self.answer.stop(HELD_BACK_GRACE_S if self._waiting_for_client else STOP_GRACE_S)

    def client_reads(self) -> None:
        """The client has caught up."""
        if self._waiting_for_client:
            self._waiting_for_client = False
            self.answer.resume()

    # What the answer calls.

    def data(self, data: bytes) -> None:
        if self.first_data_at is None:
            self.first_data_at = self._now()
        self._received += len(data)
        self.meter.feed(data)
        if self._over is not None:
            return
        out = self._transform.feed(data) if self._transform is not None else data
        if out:
            if self._outlet is None:
                self._held.append(out)
                self._wake()
            else:
                self._outlet.data(out)
                self._mind_the_client()
        reached = self._bound_reached()
        if reached is not None:
            self.answer.abort()
            self._stop(BoundReached(reached))

    def end(self) -> None:
        self._ended = True
        self._wake()
        if self._outlet is not None:
            self._outlet.end()
        elif self._over is not None:
            self._over()

    def failed(self, error: UpstreamFailed) -> None:
        self._stop(error)

    # Ours.

    def _stop(self, error: Exception) -> None:
        self._error = error
        self._wake()
        if self._outlet is not None:
            self._outlet.broken()
        elif self._over is not None:
            self._over()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _mind_the_client(self) -> None:
        """Read no faster than the client does."""
        if self._outlet is not None and self._outlet.saturated and not self._waiting_for_client:
            self._waiting_for_client = True
            self.answer.pause()

    def _bound_reached(self) -> str | None:
        bounds = self._bounds
        if bounds.seconds is not None and self._now() - self._started >= bounds.seconds:
            return "max_stream_duration_ms"
        if bounds.bytes is not None and self._received > bounds.bytes:
            return "max_response_bytes"
        return None
