"""Asking a limiter, and the rules that most promises hold for."""

import pytest

from controlplane.limiter import (
    CalendarWindow,
    FixedWindow,
    Granted,
    Limit,
    Limiter,
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
