"""The client for providers: connections are kept and used again, by origin."""

import asyncio
import ssl

from controlplane.fallback.http.answers import Answer, ClosedWhileIdle, Origin, Patience, UpstreamFailed
from controlplane.fallback.http.upstream_connection import UpstreamConnection

_LONG_IDLE_S = 1.0
_TURNS_TO_HEAR = 4
# What may be asked twice.
_HARMLESS = (b"GET ", b"HEAD ", b"OPTIONS ", b"TRACE ", b"PUT ", b"DELETE ")


class Pool:
    """Keeps idle connections by origin; opens a new one where none is idle."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._idle: dict[Origin, list[UpstreamConnection]] = {}
        self._open: set[UpstreamConnection] = set()
        self._all_closed = asyncio.Event()
        self._contexts: dict[bool, ssl.SSLContext] = {}
        self.now = self.loop.time

    async def send(
        self, origin: Origin, request: bytes, patience: Patience, streams: tuple[str, ...]
    ) -> Answer:
        """Send a request and wait for its answer: the head alone if its content type begins with one of
        `streams`, otherwise all of it. A connection that turns out to be closed by the provider before it
        answered anything is replaced once, unless the request might do something twice.
        """
        connection = self._take(origin)
        if connection is not None and self.now() - connection.expires + patience.keep_s > _LONG_IDLE_S:
            # The other side may have closed it, and we may not have heard of it yet.
            for _ in range(_TURNS_TO_HEAR):
                await asyncio.sleep(0)
            if connection.closed:
                connection = self._take(origin)
        if connection is not None:
            try:
                return await connection.exchange(request, patience, streams)
            except ClosedWhileIdle:
                if not request.startswith(_HARMLESS):
                    raise UpstreamFailed("the connection was closed before an answer") from None
        connection = await self._connect(origin, patience.connect_s or patience.timeout_s)
        return await connection.exchange(request, patience, streams)

    async def probe(self, origin: Origin, timeout_s: float) -> None:
        """Find out whether a connection can be had."""
        (await self._connect(origin, timeout_s)).abort()

    def give_back(self, connection: UpstreamConnection, patience: Patience) -> None:
        idle = self._idle.setdefault(connection.origin, [])
        if len(idle) >= patience.keep:
            connection.abort()
            return
        connection.expires = self.now() + patience.keep_s
        idle.append(connection)

    def opened(self, connection: UpstreamConnection) -> None:
        self._open.add(connection)

    def forget(self, connection: UpstreamConnection) -> None:
        self._open.discard(connection)
        if not self._open:
            self._all_closed.set()
        idle = self._idle.get(connection.origin)
        if idle is not None and connection in idle:
            idle.remove(connection)
            if not idle:
                del self._idle[connection.origin]

    def sweep(self) -> None:
        """Close what has been idle for too long; called now and then."""
        now = self.now()
        for idle in list(self._idle.values()):
            for connection in [connection for connection in idle if connection.expires < now]:
                connection.abort()

    async def close(self) -> None:
        for connection in list(self._open):
            connection.abort()
        if self._open:
            self._all_closed.clear()
            await self._all_closed.wait()

    @property
    def open_connections(self) -> int:
        return len(self._open)

    def _take(self, origin: Origin) -> UpstreamConnection | None:
        idle = self._idle.get(origin)
        now = self.now()
        while idle:
            connection = idle.pop()
            if connection.expires > now and not connection.closed:
                return connection
            connection.abort()
        return None

    async def _connect(self, origin: Origin, timeout_s: float) -> UpstreamConnection:
        context = self._tls(origin.verify) if origin.scheme == "https" else None
        name = (origin.server_name or origin.host) if context else None
        try:
            async with asyncio.timeout(timeout_s):
                _, connection = await self.loop.create_connection(
                    lambda: UpstreamConnection(self, origin),
                    origin.host,
                    origin.port,
                    ssl=context,
                    server_hostname=name,
                )
        except TimeoutError:
            raise UpstreamFailed(f"connect to {origin.host}: timed out", timed_out=True, sent=False) from None
        except (OSError, ssl.SSLError) as error:
            raise UpstreamFailed(f"connect to {origin.host}: {error}", sent=False) from error
        return connection

    def _tls(self, verify: bool) -> ssl.SSLContext:
        context = self._contexts.get(verify)
        if context is None:
            context = ssl.create_default_context()
            if not verify:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            self._contexts[verify] = context
        return context
