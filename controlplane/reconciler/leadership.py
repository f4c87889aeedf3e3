"""One replica leads per gateway: it holds the gateway's advisory lock in Postgres.

The lock lives as long as the connection that took it. A replica that is killed, or that loses the
database, leads no longer, and another may take over at once.
"""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

import asyncpg

from controlplane.errors import StoreUnavailable
from controlplane.store.database import TROUBLES

Connect = Callable[[], Awaitable["asyncpg.Connection[asyncpg.Record]"]]

_LOCK_CLASS = 0x51C1CE
"""The first half of our advisory locks, so that they meet nobody else's."""


class Leadership:
    """The locks that this replica holds, on one connection of its own."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._held: set[UUID] = set()
        self._busy = asyncio.Lock()

    def leads(self, gateway: UUID) -> bool:
        """Whether this replica may write to the gateway right now."""
        alive = self._connection is not None and not self._connection.is_closed()
        return alive and gateway in self._held

    async def try_lead(self, gateway: UUID) -> bool:
        """Take the lead where nobody has it. Raises StoreUnavailable."""
        async with self._busy:
            if self.leads(gateway):
                return True
            try:
                connection = await self._connected()
                taken: bool = await connection.fetchval(
                    "SELECT pg_try_advisory_lock($1, $2)", _LOCK_CLASS, _lock_number(gateway)
                )
            except (*TROUBLES, asyncpg.PostgresError) as error:
                raise StoreUnavailable(f"cannot ask Postgres who leads: {error}") from error
            except asyncio.CancelledError:
                self._drop()  # the lock may be taken already, and nobody would know
                raise
            if taken:
                self._held.add(gateway)
            return taken

    async def confirm(self) -> None:
        """Notice a connection that broke without a word. Raises StoreUnavailable."""
        async with self._busy:
            try:
                await (await self._connected()).execute("SELECT 1", timeout=5)
            except (*TROUBLES, asyncpg.PostgresError) as error:
                self._drop()
                raise StoreUnavailable(f"the database that says who leads is gone: {error}") from error

    async def resign(self, gateway: UUID) -> None:
        """Let another replica lead."""
        async with self._busy:
            if self.leads(gateway) and self._connection is not None:
                await self._connection.execute(
                    "SELECT pg_advisory_unlock($1, $2)", _LOCK_CLASS, _lock_number(gateway)
                )
            self._held.discard(gateway)

    async def close(self) -> None:
        """Resign everywhere."""
        async with self._busy:
            self._drop()

    async def _connected(self) -> "asyncpg.Connection[asyncpg.Record]":
        if self._connection is None or self._connection.is_closed():
            self._held.clear()
            self._connection = await self._connect()
        return self._connection

    def _drop(self) -> None:
        self._held.clear()
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None


def _lock_number(gateway: UUID) -> int:
    return int.from_bytes(gateway.bytes[:4], "big", signed=True)
