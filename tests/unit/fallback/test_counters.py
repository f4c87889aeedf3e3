"""Counters: what fits, what does not, and what they are called in Redis."""

import json
from pathlib import Path
from typing import cast

import pytest

from controlplane.clock import ManualClock
from controlplane.fallback.counters.local import LocalCounters
from controlplane.fallback.counters.redis_hub import RedisHub
from controlplane.fallback.counters.windows import Window
from controlplane.fallback.plugins.ai_rate_limiting import AiRateLimiting
from controlplane.fallback.runtime.owner import Owner
from controlplane.fallback.runtime.plugin import Services
from controlplane.fallback.schema.validator import check
from tests.unit.fallback.requests import request

RECORDED = Path(__file__).parents[2] / "contract" / "transcripts"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(now=1_000_000.0)


@pytest.fixture
def counters(clock: ManualClock) -> LocalCounters:
    return LocalCounters(clock)


def test_a_fixed_window_starts_with_its_first_request_and_starts_anew(
    counters: LocalCounters, clock: ManualClock
) -> None:
    window = Window("k", 2, 10)
    assert [counters.take(window, 1).rejected for _ in range(3)] == [False, False, True]
    clock.advance(9.9)
    standing = counters.take(window, 0)
    assert standing.reset_s == pytest.approx(0.1)
    clock.advance(0.1)
    assert counters.take(window, 1).remaining == 1


def test_a_probe_counts_nothing(counters: LocalCounters) -> None:
    window = Window("k", 1, 10)
    assert [counters.take(window, 0, probe=1).rejected for _ in range(3)] == [False] * 3
    assert not counters.take(window, 1, probe=0).rejected
    assert counters.take(window, 0, probe=1).rejected


def test_a_changed_limit_keeps_what_was_used(counters: LocalCounters) -> None:
    counters.take(Window("k", 10, 60), 7)
    assert counters.take(Window("k", 8, 60), 0).remaining == 1
    assert counters.take(Window("k", 20, 60), 0).remaining == 13


def test_a_sliding_window_remembers_the_one_before(counters: LocalCounters, clock: ManualClock) -> None:
    window = Window("k", 10, 10)
    for _ in range(10):
        assert not counters.take_sliding(window, 1).rejected
    assert counters.take_sliding(window, 1).rejected
    clock.advance(15)
    admitted = 0
    while not counters.take_sliding(window, 1).rejected:
        admitted += 1
    assert admitted == 5


def test_a_bucket_leaks_at_its_rate(counters: LocalCounters, clock: ManualClock) -> None:
    assert [counters.leak("k", 2, 1) for _ in range(3)] == [0, 0.5, None]
    clock.advance(0.5)
    assert counters.leak("k", 2, 1) == 0.5
    clock.advance(100)
    assert counters.leak("k", 2, 1) == 0


def test_places_are_taken_and_given_back(counters: LocalCounters) -> None:
    assert [counters.enter("k", 2) for _ in range(3)] == [1, 2, None]
    counters.leave("k")
    assert counters.enter("k", 2) == 2
    counters.leave("k")
    counters.leave("k")
    assert counters.open_connections == 0


def test_keys_of_long_ago_take_no_memory(counters: LocalCounters, clock: ManualClock) -> None:
    for number in range(20_000):
        clock.advance(1)
        counters.take(Window(f"k{number}", 1, 1), 1)
        counters.leak(f"k{number}", 1, 1)
    assert len(counters) < 15_000


async def test_the_counters_in_redis_are_called_as_apisix_calls_them() -> None:
    """The configuration and the name are recorded from a real APISIX and its Redis."""
    recording = json.loads((RECORDED / "budget-redis.json").read_text())
    route = next(step["request"]["body"] for step in recording["steps"] if step["to"] == "admin")
    conf = route["plugins"]["ai-rate-limiting"]
    assert check(AiRateLimiting.schema, conf) is None

    class Parts:
        counters = LocalCounters(ManualClock())
        redis = RedisHub()

    plugin = AiRateLimiting(conf, Owner("/apisix/routes/b", 1), cast(Services, Parts()))
    limit = plugin.limit_of("i1")
    assert limit is not None
    ((_, window),) = limit.windows(request())
    assert [name for name, *_ in recording["redis_keys"]] == [window.key]
