"""The limiter against the plainest description of each limit, and Redis against memory, in any history."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controlplane.clock import ManualClock
from controlplane.limiter import (
    CalendarWindow,
    Concurrency,
    FixedWindow,
    Granted,
    Limit,
    Limiter,
    MemoryLimiter,
    Period,
    SlidingWindow,
    TokenBucket,
)
from tests.fixtures.effort import examples
from tests.integration.limiter.conftest import redis_limiter

TICK = 0.125  # a fraction that floats hold exactly, also after many steps
LEASE = 20 * TICK

LIMITS = (
    Limit("fixed", FixedWindow(50, per=30 * TICK)),
    Limit("sliding", SlidingWindow(60, per=60 * TICK)),
    Limit("bucket", TokenBucket(70, refill_per_s=16)),
    Limit("day", CalendarWindow(300, Period.DAY)),
    Limit("slots", Concurrency(4), meter="concurrency"),
)


@dataclass(frozen=True)
class Step:
    """One thing that happens: time passes, a call is reserved, or one of the open calls is dealt with."""

    kind: str
    ticks: int = 0
    amounts: tuple[int, ...] = ()
    which: int = 0
    used: int = 0


steps = st.lists(
    st.one_of(
        st.builds(Step, st.just("wait"), ticks=st.integers(0, 40)),
        st.builds(
            Step,
            st.just("reserve"),
            amounts=st.tuples(*(st.integers(0, 25) for _ in LIMITS[:-1]), st.integers(0, 2)),
        ),
        st.builds(
            Step,
            st.sampled_from(["settle", "settle", "cancel", "renew"]),
            which=st.integers(0, 7),
            used=st.integers(0, 30),
        ),
    ),
    max_size=60,
)
unhurried = settings(
    deadline=None, max_examples=examples(30), suppress_health_check=[HealthCheck.function_scoped_fixture]
)


async def outcomes(limiter: Limiter, clock: ManualClock, history: list[Step]) -> list[object]:
    """Everything that a caller could see of this history."""
    seen: list[object] = []
    calls: list[Granted] = []
    for step in history:
        if step.kind == "wait":
            clock.advance(step.ticks * TICK)
        elif step.kind == "reserve":
            charges = [(limit, "k", amount) for limit, amount in zip(LIMITS, step.amounts, strict=True)]
            answer = await limiter.reserve(charges, lease=LEASE, report=True)
            if isinstance(answer, Granted):
                calls.append(answer)
                seen.append(
                    [(usage.used, usage.reserved, round(usage.resets_in, 6)) for usage in answer.usage]
                )
            else:
                seen.append([(r.limit.name, r.used, r.reserved, r.retry_after) for r in answer.refusals])
        elif calls:
            call = calls[step.which % len(calls)]
            if step.kind == "settle":
                seen.append(await limiter.settle(call, {"tokens": step.used}))
            else:
                seen.append(await (limiter.cancel(call) if step.kind == "cancel" else limiter.renew(call)))
        usages = [await limiter.usage(limit, "k") for limit in LIMITS]
        seen.append([(usage.used, usage.reserved, round(usage.resets_in, 6)) for usage in usages])
    seen.append(await limiter.outstanding())
    return seen


@unhurried
@given(history=steps)
def test_redis_and_memory_answer_alike(valkey_url: str, history: list[Step]) -> None:
    async def compare() -> None:
        clock = ManualClock(now=0.0)
        in_memory = await outcomes(MemoryLimiter(clock), clock, history)
        clock = ManualClock(now=0.0)
        async with redis_limiter(valkey_url, clock) as limiter:
            on_redis = await outcomes(limiter, clock, history)
        assert on_redis == in_memory

    asyncio.run(compare())


@dataclass
class Admitted:
    """A call that was let in: when, and the most it can turn out to have used."""

    at: float
    reserved: int
    used: int | None = None

    @property
    def counts(self) -> int:
        return self.reserved if self.used is None else self.used


@dataclass
class Witness:
    """Sees every call that one limit lets in, and judges what the limit promises."""

    limit: Limit
    calls: list[Admitted] = field(default_factory=list)

    def spans(self) -> list[tuple[float, float, int]]:
        """For each pair of calls: when one came in, when the other did, and all that came in from then on."""
        found = []
        for i, first in enumerate(self.calls):
            total = 0
            for later in self.calls[i:]:
                total += later.counts
                found.append((first.at, later.at, total))
        return found


def never_more_in_any_span(witness: Witness) -> None:
    rule = witness.limit.rule
    assert isinstance(rule, SlidingWindow)
    for begin, end, total in witness.spans():
        assert end - begin >= rule.per or total <= rule.limit, (begin, end, total)


def never_more_than_it_held_and_refilled(witness: Witness) -> None:
    rule = witness.limit.rule
    assert isinstance(rule, TokenBucket)
    for begin, end, total in witness.spans():
        assert total <= rule.limit + (end - begin) * rule.refill_per_s + 1e-6, (begin, end, total)


@pytest.mark.parametrize(
    ("limit", "judge"),
    [
        (Limit("l", SlidingWindow(100, per=60 * TICK)), never_more_in_any_span),
        (Limit("l", TokenBucket(100, refill_per_s=24)), never_more_than_it_held_and_refilled),
    ],
    ids=["sliding", "bucket"],
)
@settings(deadline=None, max_examples=examples(60))
@given(data=st.data())
def test_no_history_of_strict_calls_gets_more_than_the_limit(
    limit: Limit, judge: Callable[[Witness], None], data: st.DataObject
) -> None:
    clock, witness = ManualClock(now=0.0), Witness(limit)
    limiter = MemoryLimiter(clock)
    open_: list[tuple[Granted, Admitted]] = []
    for _ in range(data.draw(st.integers(1, 80))):
        clock.advance(TICK * data.draw(st.integers(0, 12)))
        if data.draw(st.booleans()) and open_:
            granted, call = open_.pop(data.draw(st.integers(0, len(open_) - 1)))
            call.used = data.draw(st.integers(0, call.reserved))
            limiter.settle_nowait(granted, {"tokens": call.used})
            continue
        amount = data.draw(st.integers(1, 60))
        answer = limiter.reserve_nowait([(limit, "", amount)], lease=1e4)
        if isinstance(answer, Granted):
            call = Admitted(clock.monotonic(), amount)
            witness.calls.append(call)
            open_.append((answer, call))
    judge(witness)


@settings(deadline=None, max_examples=examples(60))
@given(data=st.data())
def test_a_sliding_window_refuses_only_what_would_not_fit_a_window_a_thirtieth_longer(
    data: st.DataObject,
) -> None:
    rule = SlidingWindow(100, per=60 * TICK)
    limit, clock = Limit("l", rule), ManualClock(now=0.0)
    limiter, calls = MemoryLimiter(clock), list[Admitted]()
    for _ in range(data.draw(st.integers(1, 80))):
        clock.advance(TICK * data.draw(st.integers(0, 12)))
        amount = data.draw(st.integers(1, 60))
        answer = limiter.reserve_nowait([(limit, "", amount)])
        if isinstance(answer, Granted):
            used = data.draw(st.integers(0, amount))
            limiter.settle_nowait(answer, {"tokens": used})
            calls.append(Admitted(clock.monotonic(), amount, used))
        else:
            since = clock.monotonic() - rule.per * (1 + 1 / 30)
            assert sum(call.counts for call in calls if call.at > since) + amount > rule.limit


@settings(deadline=None, max_examples=examples(60))
@given(data=st.data())
def test_a_fixed_window_lets_in_exactly_what_the_sum_of_its_calls_leaves(data: st.DataObject) -> None:
    rule = FixedWindow(100, per=20 * TICK)
    limit, clock = Limit("l", rule), ManualClock(now=0.0)
    limiter, begin = MemoryLimiter(clock), 0.0
    window: list[Admitted] = []
    open_: list[tuple[Granted, Admitted]] = []

    def turn() -> None:
        nonlocal begin
        if clock.monotonic() - begin >= rule.per or not sum(call.counts for call in window):
            begin = clock.monotonic()
            window.clear()

    for _ in range(data.draw(st.integers(1, 80))):
        clock.advance(TICK * data.draw(st.integers(0, 8)))
        if data.draw(st.booleans()) and open_:
            granted, call = open_.pop(data.draw(st.integers(0, len(open_) - 1)))
            used = data.draw(st.integers(0, 90))
            limiter.settle_nowait(granted, {"tokens": used})
            call.used = min(used, call.reserved)
            if used > call.reserved:
                turn()
                window.append(Admitted(clock.monotonic(), 0, used - call.reserved))
            continue
        amount = data.draw(st.integers(1, 60))
        turn()
        fits = sum(call.counts for call in window) + amount <= rule.limit
        answer = limiter.reserve_nowait([(limit, "", amount)], lease=1e4)
        assert isinstance(answer, Granted) == fits
        if isinstance(answer, Granted):
            window.append(Admitted(clock.monotonic(), amount))
            open_.append((answer, window[-1]))
