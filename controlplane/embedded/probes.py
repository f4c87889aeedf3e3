"""Whether a part can be used: each probe answers None for yes, or says in a few words why not yet."""

import asyncio
from collections.abc import Mapping
from contextlib import closing
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

import asyncpg
import redis.asyncio
from redis.exceptions import RedisError

TIMEOUT_S = 2.0


POSTGRES_SAYS_NO = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)


async def ask_postgres(url: str) -> None:
    """Open a session and wait for an answer. Raises one of POSTGRES_SAYS_NO."""
    scheme, mark, rest = url.partition("://")
    connection = await asyncpg.connect(f"{scheme.partition('+')[0]}{mark}{rest}", timeout=TIMEOUT_S)
    try:
        await connection.fetchval("SELECT 1", timeout=TIMEOUT_S)
    finally:
        await connection.close(timeout=TIMEOUT_S)


async def postgres_problem(url: str) -> str | None:
    """Whether a session can be opened and answers."""
    try:
        await ask_postgres(url)
    except POSTGRES_SAYS_NO as error:
        return in_words(error)
    return None


async def redis_problem(url: str) -> str | None:
    """Whether the server lets us in and has its data loaded."""
    try:
        client = redis.asyncio.from_url(url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S)
    except ValueError as error:
        return in_words(error)
    try:
        await asyncio.wait_for(client.ping(), TIMEOUT_S)
    except (OSError, TimeoutError, RedisError) as error:
        return in_words(error)
    finally:
        await client.aclose()
    return None


async def http_problem(url: str, headers: Mapping[str, str] | None = None) -> str | None:
    """Whether the URL answers with a success."""
    return await asyncio.to_thread(_http_problem, url, headers or {})


def _http_problem(url: str, headers: Mapping[str, str]) -> str | None:
    address = urlsplit(url)
    scheme = HTTPSConnection if address.scheme == "https" else HTTPConnection
    try:
        with closing(scheme(address.netloc, timeout=TIMEOUT_S)) as connection:
            connection.request("GET", address.path or "/", headers=dict(headers))
            status = connection.getresponse().status
    except (OSError, HTTPException) as error:
        return in_words(error)
    return None if 200 <= status < 300 else f"{url} answers {status}"


def in_words(error: BaseException) -> str:
    """An error in one line."""
    return str(error).partition("\n")[0] or type(error).__name__
