"""Listens on a port, answers every request with one handler, and sweeps the connections' deadlines."""

import asyncio
import contextlib
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog

from controlplane.errors import Unavailable
from controlplane.fallback.http.connection import Connection
from controlplane.fallback.http.exchange import BodyTooLarge, ClientGone, Exchange
from controlplane.fallback.http.limits import Limits
from controlplane.fallback.http.pages import error_page

Handler = Callable[[Exchange], Awaitable[None]]

_SWEEP_S = 1.0
_BACKLOG = 4096


class Server:
    """One listening port."""

    def __init__(self, handler: Handler, limits: Limits) -> None:
        self.limits = limits
        self.port = 0
        self.draining = False
        self.requests = 0
        self.accepted = 0
        self._handler = handler
        self._connections: set[Connection] = set()
        self._gone = asyncio.Event()
        self._answering: dict[Exchange, asyncio.Task[None]] = {}
        self._loop = asyncio.get_running_loop()
        self._log = structlog.get_logger("gateway.http")
        self.now = self._loop.time
        self.soon = self._loop.call_soon

    @classmethod
    @asynccontextmanager
    async def listen(
        cls, host: str, port: int, handler: Handler, *, limits: Limits, drain_s: float, setting: str
    ) -> AsyncIterator["Server"]:
        """Serve until the block ends, then let open answers finish for at most `drain_s` seconds.

        `setting` is the name of the setting that chose the port, for the error when it is taken.
        """
        server = cls(handler, limits)
        try:
            listening = await server._loop.create_server(
                lambda: Connection(server), host, port, backlog=_BACKLOG
            )
        except OSError as error:
            raise Unavailable(
                f"the gateway cannot listen on {host}:{port}: {error.strerror or error}",
                remedy=f"stop what uses port {port}, or choose another with {setting}",
            ) from error
        server.port = int(listening.sockets[0].getsockname()[1])
        sweeper = asyncio.create_task(server._sweep())
        try:
            yield server
        finally:
            listening.close()
            await server._drain(drain_s)
            sweeper.cancel()
            await asyncio.gather(sweeper, return_exceptions=True)
            await listening.wait_closed()

    def admit(self, connection: Connection) -> bool:
        """Remember a new connection; False when there are too many."""
        self.accepted += 1
        self._connections.add(connection)
        return len(self._connections) <= self.limits.connections

    @property
    def open_connections(self) -> int:
        return len(self._connections)

    @property
    def busy_connections(self) -> int:
        """Connections with a request that is arriving or being answered."""
        return sum(connection.busy for connection in self._connections)

    def forget(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._gone.set()

    def answer(self, exchange: Exchange) -> None:
        """Run the handler for one request."""
        self.requests += 1
        self._answering[exchange] = self._loop.create_task(self._run(exchange))

    async def _run(self, exchange: Exchange) -> None:
        try:
            await self._handler(exchange)
        except ClientGone:
            pass
        except BodyTooLarge:
            self._fail(exchange, 413)
        except Exception as error:  # noqa: BLE001  whatever went wrong, the client gets an answer and we go on
            self._log.error("request failed", kind=type(error).__name__, at=_place(error))
            self._fail(exchange, 500)
        finally:
            self._answering.pop(exchange, None)

    def _fail(self, exchange: Exchange, status: int) -> None:
        if exchange.started:
            exchange.break_off()
        elif not exchange.closed:
            page = error_page(status) or b""
            exchange.respond(status, [("Content-Type", "text/html; charset=utf-8")], page)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_S)
            now = self.now()
            for connection in list(self._connections):
                if 0 < connection.deadline < now:
                    connection.abort()

    async def _drain(self, seconds: float) -> None:
        self.draining = True
        for connection in list(self._connections):
            if not connection.busy:
                connection.close()
        self._gone.clear()
        if self._connections:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._gone.wait(), seconds)
        for connection in list(self._connections):
            connection.abort()
        answering = list(self._answering.values())
        for task in answering:
            task.cancel()
        await asyncio.gather(*answering, return_exceptions=True)


def _place(error: BaseException) -> str:
    """Where an error arose. Its message is not logged: it may quote a request."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "unknown"
