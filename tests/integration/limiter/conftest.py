"""A limiter over each of its backends, with a clock that the test moves."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from controlplane.clock import ManualClock
from controlplane.limiter import Limiter, MemoryLimiter, RedisLimiter


@asynccontextmanager
async def redis_limiter(url: str, clock: ManualClock) -> AsyncIterator[RedisLimiter]:
    """A limiter on counters of its own, for which the time is that of the clock."""
    namespace = secrets.token_hex(4)
    async with RedisLimiter(url, namespace=namespace, timeout=10, clock=clock, server_time=False) as limiter:
        yield limiter


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(now=0.0)


@pytest.fixture(params=["memory", "redis"])
async def limiter(request: pytest.FixtureRequest, clock: ManualClock) -> AsyncIterator[Limiter]:
    if request.param == "memory":
        yield MemoryLimiter(clock)
        return
    async with redis_limiter(request.getfixturevalue("valkey_url"), clock) as limiter:
        yield limiter
