"""What only the limiter in memory has to take care of."""

import pytest

from controlplane.clock import ManualClock
from controlplane.errors import InvalidSpec
from controlplane.limiter import (
    CalendarWindow,
    Concurrency,
    FixedWindow,
    Granted,
    Limit,
    MemoryLimiter,
    Period,
    RedisLimiter,
    SlidingWindow,
    TokenBucket,
)
from controlplane.limiter.counters import Counters
from controlplane.limiter.limits import LARGEST_AMOUNT

RULES = (
    FixedWindow(100, per=60),
    SlidingWindow(100, per=60),
    TokenBucket(100, refill_per_s=5),
    CalendarWindow(100, Period.DAY),
    Concurrency(100),
)
every_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)


@every_rule
def test_counters_that_hold_nothing_are_forgotten(rule: FixedWindow) -> None:
    clock = ManualClock(now=0.0)
    counters = Counters(clock)
    limit = Limit("l", rule)
    for key in range(20_000):
        counter = counters.find(limit, str(key), clock.monotonic())
        mark = counter.take(rule, 10, clock.monotonic())
        counter.release(rule, 10, 10, mark, clock.monotonic())
        clock.advance(120)
    assert len(counters) < 6000


@every_rule
def test_counters_in_use_are_kept_whatever_comes_and_goes_besides(rule: FixedWindow) -> None:
    clock = ManualClock(now=0.0)
    limiter = MemoryLimiter(clock)
    kept = Limit("kept", rule)
    call = limiter.reserve_nowait([(kept, "k", 70)], lease=1e6)
    assert isinstance(call, Granted)
    for key in range(20_000):
        passing = limiter.reserve_nowait([(Limit("passing", FixedWindow(1, per=1)), str(key), 1)])
        assert isinstance(passing, Granted)
        limiter.cancel_nowait(passing)
    usage = limiter.usage_nowait(kept, "k")
    assert usage.used + usage.reserved == 70
    limiter.cancel_nowait(call)
    assert limiter.usage_nowait(kept, "k").left == 100


def test_many_objects_of_one_limit_share_its_counters_and_are_not_collected_for_ever() -> None:
    clock = ManualClock()
    counters = Counters(clock)
    first = counters.find(Limit("l", RULES[0]), "k", 0.0)
    first.charge(RULES[0], 5, 0.0)
    for _ in range(20_000):
        assert counters.find(Limit("l", RULES[0]), "k", 0.0) is first
    assert len(counters.by_limit) < 6000


@pytest.mark.parametrize("amount", [-1, LARGEST_AMOUNT + 1, 1.5, float("nan")])
def test_a_limit_is_a_whole_number_that_can_be_counted(amount: float) -> None:
    with pytest.raises(InvalidSpec, match="limit: must be a whole number"):
        FixedWindow(amount, per=60)  # type: ignore[arg-type]  # that is the point


@pytest.mark.parametrize("pace", [0, -1.0, float("nan"), float("inf")])
def test_a_window_has_a_length_and_a_bucket_a_refill(pace: float) -> None:
    with pytest.raises(InvalidSpec, match="per: must be more than 0"):
        SlidingWindow(1, per=pace)
    with pytest.raises(InvalidSpec, match="refill_per_s: must be more than 0"):
        TokenBucket(1, refill_per_s=pace)


async def test_a_reservation_of_another_limiter_is_not_taken_for_ones_own() -> None:
    call = MemoryLimiter().reserve_nowait([])
    assert isinstance(call, Granted)
    with pytest.raises(TypeError, match="another limiter"):
        await RedisLimiter("redis://127.0.0.1:1/0").settle(call, {})
