"""Redis, spoken to over one hand-driven connection an address.

Commands of many requests share the connection: those of one turn of the event loop go out in one write, and
the replies come back in order. That is several times as fast as a pool of connections with a round trip each.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any

import hiredis
import structlog

from controlplane.fallback.counters.redis_connection import Argument, RedisAddress, RedisConnection
from controlplane.fallback.counters.scripts import Script
from controlplane.fallback.counters.windows import CountersGone

_KEPT_S = 60.0
_MOST_KEPT = 100_000
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 2.0
_PASSING = ("LOADING", "READONLY", "MASTERDOWN", "TRYAGAIN", "BUSY", "CLUSTERDOWN")


class RedisClient:
    """One Redis. Without an answer in time a command fails with CountersGone; the next one connects anew.

    What is posted is kept and sent again until Redis has said that it is done, for a minute: a charge may so
    be counted twice when a connection breaks at the wrong moment, and is not forgotten.

    `locate` says where to, each time; without it that is the address itself.
    """

    one_key_at_a_time = False

    def __init__(
        self, address: RedisAddress, locate: Callable[[], Awaitable[RedisAddress]] | None = None
    ) -> None:
        self._address = address
        self._locate = locate
        self._loop = asyncio.get_running_loop()
        self._connection: RedisConnection | None = None
        self._connecting: asyncio.Task[RedisConnection] | None = None
        self._posted: set[asyncio.Task[Any]] = set()
        self.lost = 0
        """How much of what was posted had to be given up."""
        self._log = structlog.get_logger("gateway.redis")

    async def run(self, script: Script, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:
        """Run a script and return its reply; the script itself is sent only where Redis does not know it."""
        tail: tuple[Argument, ...] = (len(keys), *keys, *arguments)
        connection = self._connection
        if connection is None or connection.closed:
            connection = await self._ready()
        reply = await connection.send(("EVALSHA", script.digest, *tail))
        if not isinstance(reply, hiredis.ReplyError):
            return reply
        if _is_unknown_script(reply):
            reply = await (await self._ready()).send(("EVAL", script.text, *tail))
        return self._good(reply)

    async def command(self, *parts: Argument) -> Any:
        """Send a command and return its reply."""
        return self._good(await (await self._ready()).send(parts))

    def post(self, script: Script, keys: Sequence[str], arguments: Sequence[Argument]) -> None:
        """Run a script without waiting. It is done before whatever is sent after it."""
        tail: tuple[Argument, ...] = (len(keys), *keys, *arguments)
        self._send_later(("EVALSHA", script.digest, *tail), ("EVAL", script.text, *tail))

    def post_command(self, *parts: Argument) -> None:
        """Send a command without waiting for its reply. It is done before whatever is sent after it."""
        self._send_later(parts, None)

    def owe(self, *parts: Argument) -> None:
        """Post a command that may be done twice, again until it is done where Redis is away."""
        self._send_later(parts, None)

    @property
    def kept(self) -> int:
        """How much of what was posted waits for Redis to come back."""
        return len(self._posted)

    async def close(self) -> None:
        """Let what was posted reach Redis, then close."""
        if self._connection is not None and not self._connection.closed:
            await self._connection.drain()
            self._connection.close()
        tasks = [*self._posted, *([self._connecting] if self._connecting else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _good(self, reply: Any) -> Any:
        """The reply, or CountersGone where it is an error."""
        if not isinstance(reply, hiredis.ReplyError):
            return reply
        if str(reply).startswith("READONLY") and self._connection is not None:
            # It is the master no longer: the next command asks who is.
            self._connection.close()
        raise CountersGone(str(reply), refused=True)

    def _send_later(self, parts: tuple[Argument, ...], instead: tuple[Argument, ...] | None) -> None:
        again = instead or parts
        if self._connection is None or self._connection.closed:
            self._keep(again)
            return

        self._connection.post(parts, partial(self._was_sent, again))

    def _was_sent(self, again: tuple[Argument, ...], reply: Any) -> None:
        if isinstance(reply, CountersGone) or not _is_done(reply):
            self._keep(again)
        elif isinstance(reply, hiredis.ReplyError):
            self._lose(str(reply))

    def _keep(self, parts: tuple[Argument, ...]) -> None:
        """Send it for as long as it takes."""
        if len(self._posted) < _MOST_KEPT:
            self._spawn(self._send_until_done(parts))
        else:
            self._lose("too much waits for Redis")

    async def _send_until_done(self, parts: tuple[Argument, ...]) -> None:
        until, pause = self._loop.time() + _KEPT_S, _FIRST_PAUSE_S
        while True:
            try:
                reply = await (await self._ready()).send(parts, patient=True)
                if _is_done(reply):
                    if isinstance(reply, hiredis.ReplyError):
                        self._lose(str(reply))
                    return
                self._good(reply)
            except CountersGone as error:
                if self._loop.time() > until:
                    self._lose(str(error))
                    return
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    def _lose(self, reason: str) -> None:
        self.lost += 1
        self._log.warning("a charge was lost", redis=self._address.host, reason=reason)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._posted.add(task)
        task.add_done_callback(self._posted.discard)

    async def _ready(self) -> RedisConnection:
        connection = self._connection
        if connection is not None and not connection.closed:
            return connection
        if self._connecting is None:
            self._connecting = self._loop.create_task(self._connect())
            self._connecting.add_done_callback(self._connected)
        return await asyncio.shield(self._connecting)

    def _connected(self, task: asyncio.Task[RedisConnection]) -> None:
        self._connecting = None
        if not task.cancelled() and task.exception() is None:
            self._connection = task.result()

    async def _connect(self) -> RedisConnection:
        """Everyone who waits for a connection waits for this one attempt."""
        address = self._address if self._locate is None else await self._locate()
        try:
            async with asyncio.timeout(address.timeout_s):
                _, connection = await self._loop.create_connection(
                    lambda: RedisConnection(address, self._loop),
                    address.host,
                    address.port,
                    ssl=address.tls_context(),
                )
                await connection.greet()
        except TimeoutError:
            raise CountersGone(f"{address.host}:{address.port}: timed out") from None
        except OSError as error:
            raise CountersGone(f"{address.host}:{address.port}: {error.strerror or error}") from None
        return connection


def _is_done(reply: Any) -> bool:
    """Whether sending it once more would change nothing."""
    if not isinstance(reply, hiredis.ReplyError):
        return True
    return not _is_unknown_script(reply) and not str(reply).startswith(_PASSING)


def _is_unknown_script(reply: Any) -> bool:
    return isinstance(reply, hiredis.ReplyError) and str(reply).startswith("NOSCRIPT")
