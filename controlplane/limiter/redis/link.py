"""Keeps one connection to the Redis that can be written to, and makes a new one whenever it is lost."""

import asyncio
import random
from collections.abc import Callable, Iterable

import hiredis
import structlog

from controlplane.clock import Clock
from controlplane.errors import Unavailable
from controlplane.limiter.redis.address import Address, RedisUrl
from controlplane.limiter.redis.connection import Connection
from controlplane.limiter.redis.script import Script

_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 2.0
_HANDSHAKE_S = 2.0
_CLOCK_SET_BACK_S = 1.0

log = structlog.get_logger(__name__)


class Link:
    """`connection` is None while there is none; `reason` says why, once an attempt has failed."""

    def __init__(
        self,
        url: RedisUrl,
        script: Script,
        *,
        changed: Callable[[], None],
        clock: Clock,
        jitter: random.Random,
    ) -> None:
        self._url = url
        self._script = script
        self._changed = changed
        self._clock = clock
        self._jitter = jitter
        self._redirect: Address | None = None
        self._task: asyncio.Task[None] | None = None
        self.connection: Connection | None = None
        self.reason: str | None = None
        self.losses = 0
        self._ahead = clock.now() - clock.monotonic()

    def start(self) -> None:
        """Connect, and stay connected until `close`."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._stay_connected())

    def learn_time(self, server: float) -> None:
        """The server's clock showed that just now, or a little earlier: the answer took its time."""
        ahead = server - self._clock.monotonic()
        if not self._ahead - _CLOCK_SET_BACK_S < ahead < self._ahead:
            self._ahead = ahead

    def server_time(self) -> float:
        """What the server's clock shows, as far as we know; before it was asked, what ours does."""
        return self._clock.monotonic() + self._ahead

    def drop(self, reason: str, redirect: Address | None = None) -> None:
        """Leave this connection for a new one: it hangs, or another server is in charge."""
        if redirect is None:
            self.reason = reason
        self._redirect = redirect
        self._leave()

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._leave()

    def _leave(self) -> None:
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.close()

    async def _stay_connected(self) -> None:
        pause = _FIRST_PAUSE_S
        while True:
            try:
                connection = await self._connect()
            except (OSError, Unavailable, hiredis.ReplyError) as error:
                self._note(str(error) or type(error).__name__)
                await asyncio.sleep(pause * self._jitter.uniform(0.5, 1.0))
                pause = min(2 * pause, _LONGEST_PAUSE_S)
                continue
            if self.reason:
                log.info("limiter_counters_back", after=self.reason)
            pause, self.reason, self.connection = _FIRST_PAUSE_S, None, connection
            self._changed()
            await connection.closed
            self.connection = None
            self.losses += 1
            self._changed()

    def _note(self, reason: str) -> None:
        if self.reason is None:
            log.warning("limiter_counters_lost", reason=reason)
        self.reason = reason
        self._changed()

    async def _connect(self) -> Connection:
        """The first server that answers and takes writes."""
        redirect, self._redirect = self._redirect, None
        problem: Exception = Unavailable("there is no address of a Redis")
        for address in [redirect] if redirect else self._url.addresses:
            try:
                async with asyncio.timeout(_HANDSHAKE_S):
                    target = address if self._url.master is None else await self._ask_sentinel(address)
                    return await self._greet(target)
            except (OSError, Unavailable, hiredis.ReplyError) as error:
                problem = Unavailable(f"{address}: {str(error) or 'no answer in time'}")
        raise problem

    async def _greet(self, address: Address) -> Connection:
        connection = await self._open(address)
        try:
            await _sign_in(connection, self._url.username, self._url.password)
            if self._url.database:
                await connection.call("SELECT", self._url.database)
            seconds, micros = _items(await connection.call("TIME"))
            self.learn_time(int(seconds) + int(micros) / 1e6)
            await connection.call("SCRIPT", "LOAD", self._script.text)
        except BaseException:
            connection.close()
            raise
        return connection

    async def _open(self, address: Address) -> Connection:
        loop = asyncio.get_running_loop()
        if address.is_socket:
            _, connection = await loop.create_unix_connection(Connection, address.host)
        else:
            _, connection = await loop.create_connection(
                Connection, address.host, address.port, ssl=self._url.tls
            )
        return connection

    async def _ask_sentinel(self, sentinel: Address) -> Address:
        connection = await self._open(sentinel)
        try:
            await _sign_in(connection, self._url.sentinel_username, self._url.sentinel_password)
            answer = await connection.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._url.master or "")
        finally:
            connection.close()
        if answer is None:
            raise Unavailable(f"the sentinel knows no master {self._url.master}")
        host, port = _items(answer)
        return Address(host.decode(), int(port))


async def _sign_in(connection: Connection, username: str | None, password: str | None) -> None:
    if password is not None:
        await connection.call("AUTH", *([username] if username else []), password)


def _items(reply: object) -> Iterable[bytes]:
    if not isinstance(reply, list):
        raise Unavailable(f"an answer that is no list: {reply!r}")
    return reply
