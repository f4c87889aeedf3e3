"""What every limiter promises, in memory and on Redis."""

from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest

from controlplane.clock import ManualClock
from controlplane.errors import InvalidSpec
from controlplane.limiter import (
    CalendarWindow,
    Concurrency,
    FixedWindow,
    Granted,
    Limit,
    Limiter,
    Outcome,
    Period,
    Rejected,
    SlidingWindow,
    TokenBucket,
)

RULES = [
    FixedWindow(100, per=60),
    SlidingWindow(100, per=60),
    TokenBucket(100, refill_per_s=2),
    CalendarWindow(100, Period.DAY),
]
by_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)


async def granted(limiter: Limiter, *charges: tuple[Limit, str, int], **options: float) -> Granted:
    answer = await limiter.reserve(charges, **options)  # type: ignore[arg-type]  # only `lease` is ever given
    assert isinstance(answer, Granted), str(answer)
    return answer


async def rejected(limiter: Limiter, *charges: tuple[Limit, str, int]) -> Rejected:
    answer = await limiter.reserve(charges)
    assert isinstance(answer, Rejected)
    return answer


async def standing(limiter: Limiter, limit: Limit, key: str = "") -> tuple[int, int]:
    usage = await limiter.usage(limit, key)
    return usage.used, usage.reserved


@by_rule
async def test_what_is_reserved_counts_until_it_is_settled_to_the_truth(
    limiter: Limiter, rule: FixedWindow
) -> None:
    limit = Limit("l", rule)
    call = await granted(limiter, (limit, "", 80))
    assert await standing(limiter, limit) == (0, 80)
    assert await limiter.settle(call, {"tokens": 30}) is Outcome.DONE
    assert await standing(limiter, limit) == (30, 0)
    await granted(limiter, (limit, "", 70))


@by_rule
async def test_a_request_that_does_not_fit_is_told_what_stands_in_its_way(
    limiter: Limiter, rule: FixedWindow
) -> None:
    limit = Limit("acme/tokens", rule)
    await limiter.settle(await granted(limiter, (limit, "web", 40)), {})
    await granted(limiter, (limit, "web", 35))
    answer = await rejected(limiter, (limit, "web", 26))
    refusal = answer.binding
    assert refusal is not None
    assert (refusal.limit.name, refusal.key, refusal.requested) == ("acme/tokens", "web", 26)
    assert (refusal.used, refusal.reserved) == (40, 35)
    assert answer.retry_helps


@by_rule
async def test_whoever_waits_as_long_as_told_is_let_in_and_not_much_earlier(
    limiter: Limiter, clock: ManualClock, rule: FixedWindow
) -> None:
    limit = Limit("l", rule)
    await limiter.settle(await granted(limiter, (limit, "", 60)), {})
    clock.advance(7.25)
    await limiter.settle(await granted(limiter, (limit, "", 40)), {})
    clock.advance(1.5)
    wait = (await rejected(limiter, (limit, "", 30))).retry_after
    assert wait is not None
    clock.advance(wait - 0.01)
    await rejected(limiter, (limit, "", 30))
    clock.advance(0.01)
    await granted(limiter, (limit, "", 30))


@by_rule
async def test_a_request_that_is_larger_than_the_limit_is_told_that_waiting_is_useless(
    limiter: Limiter, rule: FixedWindow
) -> None:
    answer = await rejected(limiter, (Limit("l", rule), "", 101))
    assert not answer.retry_helps
    assert answer.retry_after is None


@by_rule
async def test_a_cancelled_call_leaves_nothing_behind(limiter: Limiter, rule: FixedWindow) -> None:
    limit = Limit("l", rule)
    call = await granted(limiter, (limit, "", 100))
    assert await limiter.cancel(call) is Outcome.DONE
    assert await standing(limiter, limit) == (0, 0)
    assert await limiter.outstanding() == 0
    await granted(limiter, (limit, "", 100))


@by_rule
async def test_what_a_call_used_beyond_its_reservation_is_counted_over_the_limit(
    limiter: Limiter, rule: FixedWindow
) -> None:
    limit = Limit("l", rule)
    await limiter.settle(await granted(limiter, (limit, "", 90)), {"tokens": 250})
    assert await standing(limiter, limit) == (250, 0)
    assert (await limiter.usage(limit)).left == 0


@by_rule
async def test_only_the_first_settle_or_cancel_counts(limiter: Limiter, rule: FixedWindow) -> None:
    limit = Limit("l", rule)
    call = await granted(limiter, (limit, "", 50))
    assert await limiter.settle(call, {"tokens": 20}) is Outcome.DONE
    assert await limiter.settle(call, {"tokens": 20}) is Outcome.REPEATED
    assert await limiter.cancel(call) is Outcome.REPEATED
    assert await limiter.renew(call) is Outcome.REPEATED
    assert await standing(limiter, limit) == (20, 0)


@by_rule
async def test_a_forgotten_reservation_ends_with_its_lease(
    limiter: Limiter, clock: ManualClock, rule: FixedWindow
) -> None:
    limit = Limit("l", rule)
    forgotten = await granted(limiter, (limit, "", 100), lease=5)
    clock.advance(4.75)
    await rejected(limiter, (limit, "", 100))
    clock.advance(0.25)
    await granted(limiter, (limit, "", 90))
    assert await limiter.outstanding() == 1
    assert forgotten is not None


async def test_a_call_that_is_settled_after_its_lease_still_counts_and_says_so(
    limiter: Limiter, clock: ManualClock
) -> None:
    limit = Limit("l", FixedWindow(100, per=3600))
    late = await granted(limiter, (limit, "", 60), lease=5)
    clock.advance(6)
    other = await granted(limiter, (limit, "", 100))
    assert await limiter.settle(late, {"tokens": 50}) is Outcome.LATE
    assert await standing(limiter, limit) == (50, 100)
    assert await limiter.settle(late, {"tokens": 50}) is Outcome.REPEATED
    await limiter.settle(other, {"tokens": 0})
    assert await standing(limiter, limit) == (50, 0)


async def test_a_call_that_is_cancelled_after_its_lease_changes_nothing(
    limiter: Limiter, clock: ManualClock
) -> None:
    limit = Limit("l", FixedWindow(100, per=3600))
    late = await granted(limiter, (limit, "", 60), lease=5)
    clock.advance(6)
    await granted(limiter, (limit, "", 100))
    assert await limiter.cancel(late) is Outcome.LATE
    assert await standing(limiter, limit) == (0, 100)


async def test_a_call_that_outlives_its_lease_unnoticed_is_settled_as_usual(
    limiter: Limiter, clock: ManualClock
) -> None:
    limit = Limit("l", FixedWindow(100, per=3600))
    call = await granted(limiter, (limit, "", 60), lease=5)
    clock.advance(6)
    assert await limiter.settle(call, {"tokens": 50}) is Outcome.DONE
    assert await standing(limiter, limit) == (50, 0)


async def test_a_lease_that_is_renewed_is_held_on(limiter: Limiter, clock: ManualClock) -> None:
    slots = Limit("slots", Concurrency(1), meter="concurrency")
    stream = await granted(limiter, (slots, "", 1), lease=5)
    for _ in range(4):
        clock.advance(4)
        assert await limiter.renew(stream) is Outcome.DONE
    await rejected(limiter, (slots, "", 1))
    clock.advance(5)
    await granted(limiter, (slots, "", 1))
    assert await limiter.renew(stream) is Outcome.LATE


async def test_reservations_with_leases_of_different_lengths_each_end_in_time(
    limiter: Limiter, clock: ManualClock
) -> None:
    slots = Limit("slots", Concurrency(3), meter="concurrency")
    for lease in (30.0, 10.0, 20.0):
        await granted(limiter, (slots, "", 1), lease=lease)
    left = []
    for _ in range(4):
        left.append((await limiter.usage(slots)).left)
        clock.advance(10)
    assert left == [0, 1, 2, 3]


async def test_slots_are_held_not_used_up(limiter: Limiter) -> None:
    slots = Limit("slots", Concurrency(2), meter="concurrency")
    first = await granted(limiter, (slots, "", 1))
    await granted(limiter, (slots, "", 1))
    answer = await rejected(limiter, (slots, "", 1))
    assert answer.retry_after is not None
    await limiter.settle(first, {"tokens": 500})
    await granted(limiter, (slots, "", 1))
    assert await standing(limiter, slots) == (0, 2)


async def test_every_charge_is_taken_or_none(limiter: Limiter, clock: ManualClock) -> None:
    tenant = Limit("tenant", FixedWindow(100, per=60))
    team = Limit("team", SlidingWindow(100, per=60))
    user = Limit("user", TokenBucket(100, refill_per_s=1))
    month = Limit("month", CalendarWindow(100, Period.MONTH))
    slots = Limit("slots", Concurrency(100), meter="concurrency")
    small = Limit("small", FixedWindow(10, per=60))
    before = [(limit, 30) for limit in (tenant, team, user, month, slots)]
    await granted(limiter, *((limit, "k", amount) for limit, amount in before))
    for _ in range(50):
        await rejected(limiter, *((limit, "k", 7) for limit, _ in before), (small, "k", 11))
    for limit, amount in before:
        assert await standing(limiter, limit, "k") == (0, amount), limit.name
    assert await standing(limiter, small, "k") == (0, 0)
    assert await limiter.outstanding() == 1


async def test_rejections_do_not_lessen_what_a_bucket_gives_back(limiter: Limiter) -> None:
    bucket = Limit("bucket", TokenBucket(1000, refill_per_s=1))
    small = Limit("small", FixedWindow(1, per=60))
    call = await granted(limiter, (bucket, "", 600))
    for _ in range(10):
        await rejected(limiter, (bucket, "", 100), (bucket, "", 100), (small, "", 2))
    await limiter.settle(call, {"tokens": 100})
    assert await standing(limiter, bucket) == (100, 0)


async def test_two_charges_on_one_counter_add_up(limiter: Limiter) -> None:
    limit = Limit("l", FixedWindow(100, per=60))
    answer = await rejected(limiter, (limit, "", 60), (limit, "", 60))
    assert [refusal.requested for refusal in answer.refusals] == [60]
    call = await granted(limiter, (limit, "", 60), (limit, "", 40))
    assert await standing(limiter, limit) == (0, 100)
    await limiter.cancel(call)
    assert await standing(limiter, limit) == (0, 0)


async def test_the_refusal_to_wait_for_longest_comes_first(limiter: Limiter) -> None:
    minute = Limit("minute", FixedWindow(10, per=60))
    hour = Limit("hour", FixedWindow(10, per=3600))
    await granted(limiter, (minute, "", 10), (hour, "", 10))
    answer = await rejected(limiter, (minute, "", 1), (hour, "", 1))
    assert [refusal.limit.name for refusal in answer.refusals] == ["hour", "minute"]
    assert answer.retry_after == answer.refusals[0].retry_after
    answer = await rejected(limiter, (minute, "", 11), (hour, "", 1))
    assert answer.binding is not None
    assert answer.binding.limit.name == "minute"
    assert not answer.retry_helps


async def test_each_meter_is_settled_to_its_own_truth(limiter: Limiter) -> None:
    tokens = Limit("tokens", FixedWindow(1000, per=60))
    prompt = Limit("prompt", FixedWindow(1000, per=60), meter="prompt_tokens")
    requests = Limit("requests", FixedWindow(1000, per=60), meter="requests")
    money = Limit("money", CalendarWindow(10**9, Period.MONTH), meter="usd")
    call = await granted(limiter, (tokens, "", 500), (prompt, "", 100), (requests, "", 1), (money, "", 9000))
    await limiter.settle(call, {"tokens": 120, "prompt_tokens": 90, "usd": 1234})
    assert await standing(limiter, tokens) == (120, 0)
    assert await standing(limiter, prompt) == (90, 0)
    assert await standing(limiter, requests) == (1, 0)
    assert await standing(limiter, money) == (1234, 0)


async def test_a_reservation_can_report_how_its_counters_stand(limiter: Limiter, clock: ManualClock) -> None:
    tokens = Limit("tokens", FixedWindow(1000, per=60))
    slots = Limit("slots", Concurrency(5), meter="concurrency")
    await limiter.settle(await granted(limiter, (tokens, "k", 300)), {})
    clock.advance(15)
    call = await limiter.reserve([(tokens, "k", 200), (slots, "k", 1)], report=True)
    assert isinstance(call, Granted)
    of_tokens, of_slots = call.usage
    assert (of_tokens.used, of_tokens.reserved, of_tokens.left) == (300, 200, 500)
    assert of_tokens.resets_in == 45
    assert (of_slots.limit.name, of_slots.key, of_slots.left) == ("slots", "k", 4)


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


async def test_a_call_that_was_admitted_in_an_earlier_window_gives_nothing_back_to_this_one(
    limiter: Limiter, clock: ManualClock
) -> None:
    limit = Limit("l", FixedWindow(100, per=60))
    long = await granted(limiter, (limit, "", 80), lease=600)
    clock.advance(60)
    await granted(limiter, (limit, "", 50))
    await limiter.settle(long, {"tokens": 10})
    assert await standing(limiter, limit) == (0, 50)


async def test_what_a_call_used_beyond_is_charged_where_it_is_learnt(
    limiter: Limiter, clock: ManualClock
) -> None:
    limit = Limit("l", FixedWindow(100, per=60))
    long = await granted(limiter, (limit, "", 80), lease=600)
    clock.advance(60)
    await granted(limiter, (limit, "", 50))
    await limiter.settle(long, {"tokens": 95})
    assert await standing(limiter, limit) == (15, 50)


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


@by_rule
async def test_an_edited_limit_keeps_what_was_used_and_reserved(limiter: Limiter, rule: FixedWindow) -> None:
    before = Limit("l", rule)
    await limiter.settle(await granted(limiter, (before, "", 40)), {})
    call = await granted(limiter, (before, "", 50))
    raised = Limit("l", replace(rule, limit=200))
    assert await standing(limiter, raised) == (40, 50)
    await granted(limiter, (raised, "", 110))
    lowered = Limit("l", replace(rule, limit=10))
    answer = await rejected(limiter, (lowered, "", 1))
    assert answer.binding is not None
    assert (answer.binding.used, answer.binding.reserved) == (40, 160)
    await limiter.settle(call, {"tokens": 5})
    assert await standing(limiter, lowered) == (45, 110)


async def test_a_longer_window_keeps_what_was_used_in_the_shorter_one(
    limiter: Limiter, clock: ManualClock
) -> None:
    await limiter.settle(await granted(limiter, (Limit("l", FixedWindow(100, per=60)), "", 70)), {})
    clock.advance(50)
    hour = Limit("l", FixedWindow(100, per=3600))
    assert await standing(limiter, hour) == (70, 0)
    clock.advance(100)
    await rejected(limiter, (hour, "", 31))


@pytest.mark.parametrize("after", RULES, ids=lambda rule: type(rule).__name__)
@by_rule
async def test_a_limit_that_counts_in_another_way_keeps_what_was_used(
    limiter: Limiter, rule: FixedWindow, after: FixedWindow
) -> None:
    await limiter.settle(await granted(limiter, (Limit("l", rule), "", 70)), {})
    edited = Limit("l", after)
    assert await standing(limiter, edited) == (70, 0)
    await rejected(limiter, (edited, "", 31))
    await granted(limiter, (edited, "", 30))


async def test_a_call_in_flight_over_such_an_edit_is_settled_without_harm(limiter: Limiter) -> None:
    fixed = Limit("l", FixedWindow(100, per=60))
    call = await granted(limiter, (fixed, "", 70))
    sliding = Limit("l", SlidingWindow(100, per=60))
    other = await granted(limiter, (sliding, "", 10))
    assert await limiter.settle(call, {"tokens": 0}) is Outcome.DONE
    assert await limiter.settle(other, {"tokens": 5}) is Outcome.DONE
    assert await limiter.outstanding() == 0
    assert await standing(limiter, sliding) == (75, 0)


async def test_keys_and_limits_do_not_share_counters(limiter: Limiter) -> None:
    one, two = Limit("a:b", FixedWindow(10, per=60)), Limit("a", FixedWindow(10, per=60))
    await granted(limiter, (one, "c", 10))
    await granted(limiter, (two, "b:c", 10))
    await granted(limiter, (one, "", 10))
    await granted(limiter, (one, "ü/{}|%\n", 10))
    await rejected(limiter, (one, "c", 1))


async def test_a_limit_of_nothing_lets_nothing_through(limiter: Limiter) -> None:
    limit = Limit("l", FixedWindow(0, per=60))
    assert not (await rejected(limiter, (limit, "", 1))).retry_helps
    await granted(limiter, (limit, "", 0))


async def test_a_request_without_charges_is_granted(limiter: Limiter) -> None:
    call = await granted(limiter)
    assert await limiter.settle(call, {"tokens": 5}) is Outcome.DONE


async def test_a_charge_of_less_than_nothing_is_a_fault(limiter: Limiter) -> None:
    limit = Limit("l", FixedWindow(10, per=60))
    with pytest.raises(InvalidSpec, match="less than nothing"):
        await limiter.reserve([(limit, "", 5), (limit, "", -5)])
    assert await standing(limiter, limit) == (0, 0)


async def test_settling_without_waiting_does_the_same(limiter: Limiter) -> None:
    limit = Limit("l", FixedWindow(100, per=60))
    limiter.settle_soon(await granted(limiter, (limit, "", 50)), {"tokens": 20})
    limiter.cancel_soon(await granted(limiter, (limit, "", 50)))
    assert await standing(limiter, limit) == (20, 0)
    assert await limiter.outstanding() == 0


async def test_the_largest_amounts_are_counted_exactly(limiter: Limiter) -> None:
    limit = Limit("l", FixedWindow(2**53 - 1, per=60))
    await granted(limiter, (limit, "", 2**53 - 2))
    await granted(limiter, (limit, "", 1))
    await rejected(limiter, (limit, "", 1))
