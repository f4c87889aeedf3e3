"""Decisions a second of the limiter: `make bench-limiter`.

One decision is five limits of one request, taken or refused. The package `limits` hits its five one after
another, which is what it can do; ours are taken at once or not at all. Everything runs in turn, five times,
in this process, and the medians are printed. Redis is the wheel's Valkey on the loopback address.
"""

import asyncio
import gc
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hiredis
import redis
import uvloop
from limits import RateLimitItemPerMinute
from limits.aio.storage import RedisStorage
from limits.aio.strategies import FixedWindowRateLimiter as AsyncFixedWindow
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter
from redis.asyncio import ConnectionPool

from controlplane.embedded.valkey import wheel_server
from controlplane.limiter import (
    Concurrency,
    FixedWindow,
    Granted,
    Limit,
    MemoryLimiter,
    RedisLimiter,
    SlidingWindow,
    TokenBucket,
)
from controlplane.limiter.limits import Charges, Rule
from controlplane.limiter.redis.batch import Batch
from controlplane.limiter.redis.keys import Keys
from controlplane.limiter.redis.operations import Reserve
from controlplane.limiter.redis.script import load_script
from tests.fixtures.free_ports import free_ports

ROUNDS = 5
IN_FLIGHT = 64
IN_MEMORY = 50_000
ON_REDIS = 20_000
PLENTY = 10**12
SCOPES = (("everyone", 1), ("tenant", 4), ("team", 16), ("key", 64), ("user", 64))
"""Each with how many there are of it: the first is on everybody's way, the last on nearly nobody's."""


def limits_of(*rules: Rule) -> tuple[Limit, ...]:
    return tuple(Limit(name, rule) for (name, _), rule in zip(SCOPES, rules, strict=True))


FIXED = limits_of(*[FixedWindow(PLENTY, per=60)] * 5)
SLIDING = limits_of(*[SlidingWindow(PLENTY, per=60)] * 5)
BUCKETS = limits_of(*[TokenBucket(PLENTY, refill_per_s=1000)] * 5)
MIXED = limits_of(
    FixedWindow(PLENTY, per=60),
    SlidingWindow(PLENTY, per=60),
    TokenBucket(PLENTY, refill_per_s=1000),
    FixedWindow(PLENTY, per=3600),
    Concurrency(PLENTY),
)
KEYS = [tuple(str(caller % many) for _, many in SCOPES) for caller in range(IN_FLIGHT)]


def charges(limits: tuple[Limit, ...], caller: int) -> Charges:
    everyone, tenant, team, key, user = limits
    keys = KEYS[caller]
    return (
        (everyone, keys[0], 10),
        (tenant, keys[1], 10),
        (team, keys[2], 10),
        (key, keys[3], 10),
        (user, keys[4], 10),
    )


@dataclass
class Series:
    """What one contestant managed in each round."""

    name: str
    rates: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return statistics.median(self.rates)

    def line(self, peer: "Series | None" = None) -> str:
        text = f"  {self.name:<44} {self.rate:>9,.0f}/s"
        if self.p99_ms:
            text += f"   p99 {statistics.median(self.p99_ms):5.2f} ms"
        return text + (f"   x limits {self.rate / peer.rate:.1f}" if peer else "")


def reserve_in_memory(limits: tuple[Limit, ...]) -> float:
    """Reservations alone; those in flight are settled between the timed slices."""
    limiter, took = MemoryLimiter(), 0.0
    reserve = limiter.reserve_nowait
    for _ in range(IN_MEMORY // IN_FLIGHT):
        begun = time.perf_counter()
        calls = [reserve(charges(limits, caller)) for caller in range(IN_FLIGHT)]
        took += time.perf_counter() - begun
        for call in calls:
            assert isinstance(call, Granted)
            limiter.settle_nowait(call, {"tokens": 8})
    return IN_MEMORY / took


def settle_in_memory(limits: tuple[Limit, ...]) -> float:
    """Reservations, each settled at once."""
    limiter = MemoryLimiter()
    begun = time.perf_counter()
    for number in range(IN_MEMORY):
        call = limiter.reserve_nowait(charges(limits, number % IN_FLIGHT))
        assert isinstance(call, Granted)
        limiter.settle_nowait(call, {"tokens": 8})
    return IN_MEMORY / (time.perf_counter() - begun)


def peer_in_memory() -> float:
    limiter = FixedWindowRateLimiter(MemoryStorage())
    items = [RateLimitItemPerMinute(PLENTY, namespace=name) for name, _ in SCOPES]
    begun = time.perf_counter()
    for number in range(IN_MEMORY):
        for item, key in zip(items, KEYS[number % IN_FLIGHT], strict=True):
            assert limiter.hit(item, key, cost=10)
    return IN_MEMORY / (time.perf_counter() - begun)


async def in_flight(decide: Callable[[int], Awaitable[object]]) -> tuple[float, float]:
    """Decisions a second, and the 99th percentile of how long one took."""
    took: list[float] = []

    async def caller(number: int) -> None:
        for _ in range(ON_REDIS // IN_FLIGHT):
            begun = time.perf_counter()
            await decide(number)
            took.append(time.perf_counter() - begun)

    await decide(0)
    begun = time.perf_counter()
    await asyncio.gather(*(caller(number) for number in range(IN_FLIGHT)))
    rate = len(took) / (time.perf_counter() - begun)
    return rate, sorted(took)[int(len(took) * 0.99)] * 1000


async def ours_on_redis(url: str, limits: tuple[Limit, ...], *, settle: bool) -> tuple[float, float]:
    async with RedisLimiter(url, timeout=5) as limiter:

        async def decide(caller: int) -> None:
            call = await limiter.reserve(charges(limits, caller))
            assert isinstance(call, Granted)
            assert not call.degraded
            if settle:
                await limiter.settle(call, {"tokens": 8})

        return await in_flight(decide)


async def peer_on_redis(url: str) -> tuple[float, float]:
    pool = ConnectionPool.from_url(url)
    options: dict[str, Any] = {"connection_pool": pool}  # its own type for options leaves pools out
    storage = RedisStorage("async+" + url, implementation="redispy", **options)
    limiter = AsyncFixedWindow(storage)
    items = [RateLimitItemPerMinute(PLENTY, namespace=name) for name, _ in SCOPES]

    async def decide(caller: int) -> None:
        for item, key in zip(items, KEYS[caller], strict=True):
            assert await limiter.hit(item, key, cost=10)

    try:
        return await in_flight(decide)
    finally:
        await pool.aclose()


def redis_alone(port: int, batch_size: int, limits: tuple[Limit, ...]) -> float:
    """What Redis could decide if its callers cost nothing: calls of the script that were made before."""
    script = load_script()
    commands = asyncio.run(_packed(batch_size, limits))
    with socket.create_connection(("127.0.0.1", port)) as connection:
        reader = hiredis.Reader()
        connection.sendall(hiredis.pack_command(("SCRIPT", "LOAD", script.text)))  # type: ignore[arg-type]
        _read(connection, reader)
        ahead = max(2, IN_FLIGHT // batch_size)
        begun = time.perf_counter()
        for number, command in enumerate(commands):
            connection.sendall(command)
            if number >= ahead:
                _read(connection, reader)
        for _ in range(min(ahead, len(commands))):
            _read(connection, reader)
        return len(commands) * batch_size / (time.perf_counter() - begun)


async def _packed(batch_size: int, limits: tuple[Limit, ...]) -> list[bytes]:
    script, keys, commands = load_script(), Keys("alone", time.time), []
    for first in range(0, ON_REDIS, batch_size):
        batch = Batch(keys)
        for number in range(first, first + batch_size):
            batch.add(Reserve(_Nobody(), str(number), charges(limits, number % IN_FLIGHT), 60.0, False))
        commands.append(batch.command(script.sha, b"", b""))
    return commands


class _Nobody:
    """Answers to these reservations are not read."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()

    def submit(self, operation: object) -> None: ...

    def defer(self, operation: object) -> None: ...


def _read(connection: socket.socket, reader: hiredis.Reader) -> None:
    while (reply := reader.gets()) is False:
        reader.feed(connection.recv(1 << 20))
    if isinstance(reply, Exception):
        raise reply


@contextmanager
def valkey() -> Iterator[int]:
    """A server of our own, and its port."""
    (port,) = free_ports(1)
    with tempfile.TemporaryDirectory() as folder:
        options = [
            "--port",
            str(port),
            "--bind",
            "127.0.0.1",
            "--dir",
            folder,
            "--save",
            "",
            "--appendonly",
            "no",
        ]
        with (Path(folder) / "log").open("wb") as log:
            server = subprocess.Popen([str(wheel_server()), *options], stdout=log)
        try:
            with redis.Redis(port=port) as client:
                deadline = time.monotonic() + 10
                while time.monotonic() < deadline:
                    try:
                        client.ping()
                        break
                    except redis.ConnectionError:
                        time.sleep(0.01)
            yield port
        finally:
            server.terminate()
            server.wait()


def bench_memory() -> None:
    peer = Series("limits 5.8, fixed windows, one after another")
    series: dict[str, Callable[[], float]] = {
        "reserve, five fixed windows": lambda: reserve_in_memory(FIXED),
        "reserve, five sliding windows": lambda: reserve_in_memory(SLIDING),
        "reserve, five buckets": lambda: reserve_in_memory(BUCKETS),
        "reserve, one of each kind": lambda: reserve_in_memory(MIXED),
        "reserve and settle, five fixed windows": lambda: settle_in_memory(FIXED),
    }
    ours = {name: Series(name) for name in series}
    for _ in range(ROUNDS):
        peer.rates.append(peer_in_memory())
        for name, run in series.items():
            gc.collect()
            ours[name].rates.append(run())
    print("In memory, one core (target: 300,000/s and 4 x limits)")
    print("\n".join([*(each.line(peer) for each in ours.values()), peer.line()]))


def empty(client: redis.Redis) -> None:
    client.execute_command("FLUSHALL")  # type: ignore[no-untyped-call]


def bench_redis(port: int) -> None:
    url = f"redis://127.0.0.1:{port}"
    peer = Series("limits 5.8, fixed windows, one after another")
    series = {
        "reserve, five fixed windows": (FIXED, False),
        "reserve, five buckets": (BUCKETS, False),
        "reserve, one of each kind": (MIXED, False),
        "reserve and settle, five fixed windows": (FIXED, True),
    }
    ours = {name: Series(name) for name in series}
    alone = {size: Series(f"Redis alone, {size} decisions a call") for size in (1, 32)}
    with redis.Redis(port=port) as client:
        for _ in range(ROUNDS):
            for name, (limits, settle) in series.items():
                empty(client)
                rate, p99 = uvloop.run(ours_on_redis(url, limits, settle=settle))
                ours[name].rates.append(rate)
                ours[name].p99_ms.append(p99)
            for size, each in alone.items():
                empty(client)
                each.rates.append(redis_alone(port, size, FIXED))
            empty(client)
            rate, p99 = uvloop.run(peer_on_redis(url))
            peer.rates.append(rate)
            peer.p99_ms.append(p99)
    print(f"On Redis, {IN_FLIGHT} in flight (target: 20,000/s, p99 6 ms and 4 x limits)")
    print("\n".join([*(each.line(peer) for each in ours.values()), peer.line()]))
    print("\n".join(each.line() for each in alone.values()))
    share = ours["reserve, five fixed windows"].rate / alone[32].rate
    print(f"  that is {share:.0%} of what this Redis can decide by itself")


def main() -> None:
    bench_memory()
    with valkey() as port:
        bench_redis(port)


if __name__ == "__main__":
    main()
