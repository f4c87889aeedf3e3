"""When windows end, buckets refill and slots come free, in memory and on Redis."""

from zoneinfo import ZoneInfo

import pytest

from controlplane.clock import ManualClock
from controlplane.limiter import (
    CalendarWindow,
    Concurrency,
    FixedWindow,
    Limit,
    Limiter,
    Period,
    TokenBucket,
)
from tests.integration.limiter.asking import granted, rejected, standing


async def test_slots_are_held_not_used_up(limiter: Limiter) -> None:
    slots = Limit("slots", Concurrency(2), meter="concurrency")
    first = await granted(limiter, (slots, "", 1))
    await granted(limiter, (slots, "", 1))
    answer = await rejected(limiter, (slots, "", 1))
    assert answer.retry_after is not None
    await limiter.settle(first, {"tokens": 500})
    await granted(limiter, (slots, "", 1))
    assert await standing(limiter, slots) == (0, 2)


async def test_rejections_do_not_lessen_what_a_bucket_gives_back(limiter: Limiter) -> None:
    bucket = Limit("bucket", TokenBucket(1000, refill_per_s=1))
    small = Limit("small", FixedWindow(1, per=60))
    call = await granted(limiter, (bucket, "", 600))
    for _ in range(10):
        await rejected(limiter, (bucket, "", 100), (bucket, "", 100), (small, "", 2))
    await limiter.settle(call, {"tokens": 100})
    assert await standing(limiter, bucket) == (100, 0)


async def test_a_fixed_window_begins_with_its_first_charge_and_ends_for_all_that_was_charged_in_it(
    limiter: Limiter, clock: ManualClock
) -> None:
    limit = Limit("l", FixedWindow(100, per=60))
    clock.advance(1000.5)
    await limiter.settle(await granted(limiter, (limit, "", 60)), {})
    clock.advance(59.5)
    await granted(limiter, (limit, "", 40))
    assert (await limiter.usage(limit)).resets_in == 0.5
    clock.advance(0.5)
    assert await standing(limiter, limit) == (0, 0)
    await granted(limiter, (limit, "", 100))


@pytest.mark.parametrize(("tokens", "charged"), [(10, 0), (80, 0), (95, 15)])
async def test_a_call_of_an_earlier_window_gives_nothing_back_to_this_one_and_is_charged_what_it_used_beyond(
    limiter: Limiter, clock: ManualClock, tokens: int, charged: int
) -> None:
    limit = Limit("l", FixedWindow(100, per=60))
    long = await granted(limiter, (limit, "", 80), lease=600)
    clock.advance(60)
    await granted(limiter, (limit, "", 50))
    await limiter.settle(long, {"tokens": tokens})
    assert await standing(limiter, limit) == (charged, 50)


async def test_a_bucket_refills_steadily_up_to_its_size(limiter: Limiter, clock: ManualClock) -> None:
    limit = Limit("l", TokenBucket(100, refill_per_s=4))
    await limiter.settle(await granted(limiter, (limit, "", 100)), {})
    clock.advance(10)
    assert (await limiter.usage(limit)).left == 40
    clock.advance(1000)
    assert (await limiter.usage(limit)).left == 100


async def test_a_bucket_does_not_refill_twice_for_one_reservation(
    limiter: Limiter, clock: ManualClock
) -> None:
    limit = Limit("l", TokenBucket(100, refill_per_s=1))
    unused = await granted(limiter, (limit, "", 100), lease=3600)
    clock.advance(100)
    await granted(limiter, (limit, "", 100))
    await limiter.settle(unused, {"tokens": 0})
    await rejected(limiter, (limit, "", 1))


async def test_a_day_ends_at_midnight_of_its_time_zone(limiter: Limiter, clock: ManualClock) -> None:
    limit = Limit("l", CalendarWindow(100, Period.DAY, ZoneInfo("Asia/Tokyo")))
    clock.advance(1_700_000_000.0)  # 07:13:20 on 15 November 2023 in Tokyo
    await limiter.settle(await granted(limiter, (limit, "", 100)), {})
    usage = await limiter.usage(limit)
    assert usage.resets_in == (16 * 60 + 46) * 60 + 40
    clock.advance(usage.resets_in - 1)
    await rejected(limiter, (limit, "", 1))
    clock.advance(1)
    await granted(limiter, (limit, "", 100))
