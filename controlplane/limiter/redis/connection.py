"""One connection to Redis, driven by hand: commands go out at once, replies come back in the same order."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import cast

import hiredis

from controlplane.errors import Unavailable

Deliver = Callable[[object], None]
"""Takes a reply, or the exception that came instead of it."""


def pack(words: Sequence[str | bytes | int]) -> bytes:
    """A command as Redis reads it."""
    packed: bytes = hiredis.pack_command(tuple(words))  # type: ignore[arg-type]  # its stub allows one word only
    return packed


class ConnectionLost(Unavailable):
    """The connection ended before the reply came; nobody knows whether the command was run."""


class Connection(asyncio.Protocol):
    """Knows nothing but commands and replies."""

    def __init__(self) -> None:
        self._reader = hiredis.Reader()
        self._waiting: deque[Deliver] = deque()
        self._transport: asyncio.Transport | None = None
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def send(self, command: bytes, deliver: Deliver) -> None:
        """Send a packed command; `deliver` gets its reply."""
        if self._transport is None or self._transport.is_closing():
            deliver(ConnectionLost("the connection to Redis is closed"))
            return
        self._waiting.append(deliver)
        self._transport.write(command)

    async def call(self, *words: str | bytes | int) -> object:
        """Send one command and wait for its reply. Raises what Redis answers as an error."""
        reply: asyncio.Future[object] = asyncio.get_running_loop().create_future()

        def deliver(answer: object) -> None:
            if not reply.done():
                reply.set_result(answer)

        self.send(pack(words), deliver)
        answer = await reply
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        """Drop the connection; every reply that is still due is lost."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        try:
            while (reply := self._reader.gets()) is not False:
                self._waiting.popleft()(reply)
        except (hiredis.ProtocolError, IndexError):
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(None)
        lost = ConnectionLost("the connection to Redis was lost" + (f": {exc}" if exc else ""))
        while self._waiting:
            self._waiting.popleft()(lost)
