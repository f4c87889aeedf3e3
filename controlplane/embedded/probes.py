"""Whether a part can be used: each probe answers None for yes, or says in a few words why not yet."""

import asyncio

import asyncpg
import httpx
import redis.asyncio
from redis.exceptions import RedisError

TIMEOUT_S = 2.0


async def postgres_problem(url: str) -> str | None:
    """Whether a session can be opened and answers."""
    try:
        connection = await asyncpg.connect(url, timeout=TIMEOUT_S)
        try:
            await connection.fetchval("SELECT 1", timeout=TIMEOUT_S)
        finally:
            await connection.close(timeout=TIMEOUT_S)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        return _words(error)
    return None


async def redis_problem(url: str) -> str | None:
    """Whether the server lets us in and has its data loaded."""
    client = redis.asyncio.from_url(url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S)
    try:
        await asyncio.wait_for(client.ping(), TIMEOUT_S)
    except (OSError, TimeoutError, RedisError) as error:
        return _words(error)
    finally:
        await client.aclose()
    return None


async def http_problem(url: str) -> str | None:
    """Whether the URL answers with a success."""
    try:
        async with httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False) as client:
            response = await client.get(url)
    except httpx.HTTPError as error:
        return _words(error)
    return None if response.is_success else f"{url} answers {response.status_code}"


def _words(error: BaseException) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
