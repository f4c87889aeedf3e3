"""How long a reservation is held, in memory and on Redis."""

from controlplane.clock import ManualClock
from controlplane.limiter import Concurrency, FixedWindow, Granted, Limit, Limiter, Outcome
from tests.integration.limiter.asking import by_rule, granted, rejected, standing

HOUR = Limit("l", FixedWindow(100, per=3600))


async def overdue(limiter: Limiter, clock: ManualClock) -> Granted:
    """A call of 60 tokens whose lease is over."""
    call = await granted(limiter, (HOUR, "", 60), lease=5)
    clock.advance(6)
    return call


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
    late = await overdue(limiter, clock)
    other = await granted(limiter, (HOUR, "", 100))
    assert await limiter.settle(late, {"tokens": 50}) is Outcome.LATE
    assert await standing(limiter, HOUR) == (50, 100)
    assert await limiter.settle(late, {"tokens": 50}) is Outcome.REPEATED
    await limiter.settle(other, {"tokens": 0})
    assert await standing(limiter, HOUR) == (50, 0)


async def test_a_call_that_is_cancelled_after_its_lease_changes_nothing(
    limiter: Limiter, clock: ManualClock
) -> None:
    late = await overdue(limiter, clock)
    await granted(limiter, (HOUR, "", 100))
    assert await limiter.cancel(late) is Outcome.LATE
    assert await standing(limiter, HOUR) == (0, 100)


async def test_a_call_that_outlives_its_lease_unnoticed_is_settled_as_usual(
    limiter: Limiter, clock: ManualClock
) -> None:
    call = await overdue(limiter, clock)
    assert await limiter.settle(call, {"tokens": 50}) is Outcome.DONE
    assert await standing(limiter, HOUR) == (50, 0)


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
