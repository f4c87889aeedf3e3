"""Connections to Postgres, and its troubles in our words."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import orjson

from controlplane.errors import StoreUnavailable

# Any: asyncpg ships no types; a connection is only handed about here.
Connection = Any

_ACQUIRE_S = 5.0
_COMMAND_S = 30.0
_JSONB_VERSION = b"\x01"
"""What Postgres puts before the text."""
TROUBLES = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
)
"""What is raised when Postgres goes away, in whichever moment of a call it does."""


class Database:
    """A pool of connections. It opens them when they are needed, so that it may start before Postgres."""

    def __init__(self, pool: Any, url: str) -> None:  # Any: an asyncpg pool
        self._pool = pool
        self._url = url

    @classmethod
    async def open(cls, url: str, *, connections: int = 10) -> "Database":
        plain = "postgresql://" + url.partition("://")[2]
        pool = asyncpg.create_pool(
            plain, min_size=0, max_size=connections, command_timeout=_COMMAND_S, init=_prepare
        )
        await pool
        return cls(pool, plain)

    async def close(self) -> None:
        self._pool.terminate()

    async def connect(self) -> Connection:
        """A connection of one's own, for listening and for locks that last."""
        return await asyncpg.connect(self._url, timeout=_ACQUIRE_S, command_timeout=_COMMAND_S)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection outside of any transaction. Raises StoreUnavailable."""
        with_trouble = _translated()
        async with with_trouble, self._pool.acquire(timeout=_ACQUIRE_S) as connection:
            yield connection

    @asynccontextmanager
    async def transaction(self, isolation: str = "read_committed") -> AsyncIterator[Connection]:
        """A transaction: committed at the end, or undone by whatever is raised. Raises StoreUnavailable."""
        async with self.connection() as connection, connection.transaction(isolation=isolation):
            yield connection


@asynccontextmanager
async def _translated() -> AsyncIterator[None]:
    try:
        yield
    except TROUBLES as error:
        raise StoreUnavailable(
            f"the database does not answer ({type(error).__name__})", remedy="try again in a moment"
        ) from error


async def insert(
    connection: Connection, table: str, columns: Sequence[str], rows: Iterable[Sequence[object]]
) -> None:
    """Insert rows at once, however many; they are sent while the next ones are made."""
    if rows:
        await connection.copy_records_to_table(table, columns=columns, records=rows)


async def _prepare(connection: Connection) -> None:
    # In binary, which is what many rows at once are sent in.
    await connection.set_type_codec(
        "json", schema="pg_catalog", encoder=orjson.dumps, decoder=orjson.loads, format="binary"
    )
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=_jsonb, decoder=_from_jsonb, format="binary"
    )


def _jsonb(value: object) -> bytes:
    return _JSONB_VERSION + orjson.dumps(value)


def _from_jsonb(data: bytes) -> Any:  # Any: JSON
    return orjson.loads(data.removeprefix(_JSONB_VERSION))
