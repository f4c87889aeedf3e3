"""The fixtures that give every test a real Postgres and a real Valkey."""

import asyncpg
import redis


async def test_a_test_gets_an_empty_database_that_it_may_fill(postgres_url: str) -> None:
    connection = await asyncpg.connect(postgres_url)
    try:
        await connection.execute("CREATE TABLE mine (id int)")
        assert await connection.fetchval("SELECT count(*) FROM mine") == 0
    finally:
        await connection.close()


async def test_the_next_test_does_not_see_the_table_of_the_one_before(postgres_url: str) -> None:
    connection = await asyncpg.connect(postgres_url)
    try:
        assert await connection.fetchval("SELECT to_regclass('mine')") is None
    finally:
        await connection.close()


def test_a_test_gets_an_empty_valkey_database(valkey_url: str) -> None:
    with redis.Redis.from_url(valkey_url) as client:
        assert client.dbsize() == 0
        client.set("left", "behind")


def test_the_next_test_does_not_see_the_keys_of_the_one_before(valkey_url: str) -> None:
    with redis.Redis.from_url(valkey_url) as client:
        assert client.dbsize() == 0
