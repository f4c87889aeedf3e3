"""What is said of a database that does not do as it was told."""

import asyncpg
import pytest

from controlplane.errors import StoreUnavailable
from controlplane.store.database import Database
from controlplane.store.store import Store


async def with_too_large_a_number(database: Database) -> None:
    async with database.connection() as connection:
        await connection.fetchval("SELECT $1::int", 2**40)


async def over_a_closed_connection(database: Database) -> None:
    async with database.connection() as connection:
        await connection.close()
        await connection.fetchval("SELECT 1")


async def test_a_value_that_postgres_cannot_hold_is_no_outage(store: Store) -> None:
    with pytest.raises(asyncpg.DataError, match="invalid input for query argument"):
        await with_too_large_a_number(store.database)


async def test_a_connection_that_is_gone_is_an_outage(store: Store) -> None:
    with pytest.raises(StoreUnavailable, match="does not answer"):
        await over_a_closed_connection(store.database)
