"""The speed of one governed gateway process: `make bench-gateway`.

The gateway holds what our compiler makes: keys, budgets in Valkey, concurrency. The provider, the load and
Valkey are processes of their own, and none of them is the limit. Every figure is the median of `ROUNDS`
rounds, in which all proxies take turns, so that a noisy moment of the machine meets all of them.
"""

import asyncio
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from math import nan
from pathlib import Path
from typing import Any

import psutil

from tests.bench.traffic import rig
from tests.bench.traffic.litellm import NAME as PEER
from tests.bench.traffic.litellm import litellm
from tests.bench.traffic.load import Load, Outcome
from tests.bench.traffic.provider import EVENTS
from tests.fixtures.specs import member

ROUNDS = 5
SECONDS = 2.0
CONNECTIONS, STREAMS = 64, 16
PLENTY = 10**12
GAP_MS = 20
BARE = "bare proxy"

# Any: documents as users write them.
QUEUES: Mapping[str, dict[str, Any]] = {
    "queue and member budgets": {
        "members": [
            member(name="main", priority=1, limits=[{"tokens": PLENTY, "per": "1h"}]),
            member(name="spare", priority=0, limits=[{"tokens": PLENTY, "per": "1h"}]),
        ],
        "fallback": ["rate_limiting", "http_429", "http_5xx"],
        "limits": [{"tokens": PLENTY, "per": "1m"}, {"concurrency": 1000}],
    },
    "queue and key budgets": {
        "limits": [
            {"tokens": PLENTY, "per": "1h"},
            {"tokens": PLENTY, "per": "1m", "by": "key"},
            {"concurrency": 1000},
        ]
    },
    "member budgets, requests": {
        "members": [
            member(name="main", priority=1, limits=[{"tokens": PLENTY, "per": "1h"}]),
            member(name="spare", priority=0, limits=[{"tokens": PLENTY, "per": "1h"}]),
        ],
        "fallback": ["rate_limiting", "http_429", "http_5xx"],
        "limits": [{"requests": PLENTY, "per": "1m"}, {"concurrency": 1000}],
    },
}


@dataclass(frozen=True)
class Round:
    """What one proxy did in one round."""

    calls: Outcome
    calls_us: float
    streams: Outcome
    streams_us: float
    paced: Outcome
    megabytes: float


async def main(rounds: int) -> None:
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        provider_port = await stack.enter_async_context(rig.provider())
        counters = await stack.enter_async_context(rig.valkey(folder / "valkey"))
        proxies = [
            await stack.enter_async_context(rig.governed(name, parts, folder, provider_port, counters))
            for name, parts in QUEUES.items()
        ]
        peer = await stack.enter_async_context(litellm(folder, provider_port, counters))
        proxies += [peer] if peer is not None else []
        proxies.append(await stack.enter_async_context(rig.floor(BARE, provider_port)))
        for proxy in proxies:
            await rig.apply_load(_load(proxy, 0.5))
        found: dict[str, list[Round]] = {proxy.name: [] for proxy in proxies}
        direct = []
        for _ in range(rounds):
            direct.append(await rig.apply_load(_paced(provider_port, "/", {})))
            for proxy in proxies:
                found[proxy.name].append(await measure(proxy))
        report(found, statistics.median(outcome.first for outcome in direct))


async def measure(proxy: rig.Proxy) -> Round:
    calls, calls_us = await _costed(proxy, _load(proxy, SECONDS))
    streams, streams_us = await _costed(proxy, _load(proxy, SECONDS, streams=True))
    paced = await rig.apply_load(_paced(proxy.port, proxy.path, proxy.headers))
    return Round(calls, calls_us, streams, streams_us, paced, proxy.megabytes)


async def _costed(proxy: rig.Proxy, load: Load) -> tuple[Outcome, float]:
    """The outcome, and microseconds of the proxy's processor time for each call."""
    before = proxy.cpu_s
    outcome = await rig.apply_load(load)
    if outcome.failed:
        raise SystemExit(f"{proxy.name}: {outcome.failed} of {outcome.calls} calls failed")
    return outcome, (proxy.cpu_s - before) / outcome.calls * 1e6


def _load(proxy: rig.Proxy, seconds: float, *, streams: bool = False) -> Load:
    connections = STREAMS if streams else CONNECTIONS
    return Load(proxy.port, proxy.path, connections, seconds, streams, dict(proxy.headers))


def _paced(port: int, path: str, headers: Mapping[str, str]) -> Load:
    """Streams with gaps, as models have them: the time to the first byte is not the time in a queue."""
    paced = {**headers, "X-Bench-Gap-Ms": str(GAP_MS)}
    lasts = GAP_MS / 1000 * EVENTS
    return Load(port, path, STREAMS, 3 * lasts, streams=True, headers=paced, spread_s=lasts)


def report(found: Mapping[str, Sequence[Round]], direct_first: float) -> None:
    load = ", ".join(f"{one:.1f}" for one in psutil.getloadavg())
    cores, rounds = psutil.cpu_count(), len(found[BARE])
    print(f"one process, {cores} cores, medians of {rounds} rounds of {SECONDS:.0f} s (load average {load})")
    bare = _middle(found[BARE], lambda one: one.calls.per_second)
    peer = _middle(found[PEER], lambda one: one.calls.per_second) if PEER in found else nan
    _table(
        f"calls, {CONNECTIONS} connections",
        found,
        [
            Column("per s", ">=3000", 0, lambda one: one.calls.per_second),
            Column("p50 ms", "", 1, lambda one: one.calls.p50),
            Column("p99 ms", "<=50", 1, lambda one: one.calls.p99),
            Column("CPU us", "<=300", 0, lambda one: one.calls_us),
            Column("RSS MB", "<=120", 0, lambda one: one.megabytes),
            Column("of bare", "", 3, lambda one: one.calls.per_second / bare),
            Column(f"x {PEER}", "", 1, lambda one: one.calls.per_second / peer),
        ],
    )
    _table(
        f"streams of {EVENTS} events, {STREAMS} connections",
        found,
        [
            Column("per s", ">=1000", 0, lambda one: one.streams.per_second),
            Column("p99 ms", "", 1, lambda one: one.streams.p99),
            Column("CPU us", "", 0, lambda one: one.streams_us),
            Column("first byte adds ms", "<=5", 2, lambda one: one.paced.first - direct_first),
        ],
    )


@dataclass(frozen=True)
class Column:
    """A figure of a table: its title, what is wanted of it, and how many decimals it is shown with."""

    title: str
    target: str
    decimals: int
    figure: Callable[[Round], float]

    @property
    def width(self) -> int:
        return max(len(self.title), 7) + 2


def _table(title: str, found: Mapping[str, Sequence[Round]], columns: Sequence[Column]) -> None:
    print(f"\n{title:28}" + "".join(f"{column.title:>{column.width}}" for column in columns))
    for name, rounds in found.items():
        figures = (f"{_middle(rounds, one.figure):{one.width}.{one.decimals}f}" for one in columns)
        print(f"  {name:26}" + "".join(figures))
    print(f"  {'target':26}" + "".join(f"{column.target:>{column.width}}" for column in columns))


def _middle(rounds: Sequence[Round], figure: Callable[[Round], float]) -> float:
    return statistics.median(map(figure, rounds))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS))
