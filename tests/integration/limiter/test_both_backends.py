"""What every limiter promises, in memory and on Redis."""

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
    SlidingWindow,
    TokenBucket,
)
from tests.integration.limiter.asking import by_rule, granted, rejected, standing


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
