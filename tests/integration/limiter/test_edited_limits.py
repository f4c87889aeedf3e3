"""What an edit of a limit keeps, in memory and on Redis."""

from dataclasses import replace

import pytest

from controlplane.clock import ManualClock
from controlplane.limiter import FixedWindow, Limit, Limiter, Outcome, SlidingWindow
from tests.integration.limiter.asking import RULES, by_rule, granted, rejected, standing


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
