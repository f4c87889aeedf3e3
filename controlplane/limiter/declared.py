"""Limits as people declare them, as the limiter keeps them."""

from zoneinfo import ZoneInfo

from controlplane.core.limits import Limit as DeclaredLimit
from controlplane.core.limits import Meter, Mode
from controlplane.limiter.calendar import Period
from controlplane.limiter.limits import (
    CalendarWindow,
    Concurrency,
    FixedWindow,
    Limit,
    OnOutage,
    Rule,
    SlidingWindow,
    TokenBucket,
)

MICROS = 1_000_000
"""Money is counted in millionths of a dollar."""


def limit_of(name: str, declared: DeclaredLimit, on_outage: OnOutage = OnOutage.LOCAL) -> Limit:
    """The limit, under the name that owns its counters."""
    return Limit(name, rule_of(declared), declared.meter.value, on_outage)


def rule_of(declared: DeclaredLimit) -> Rule:
    """How a declared limit counts."""
    amount = round(declared.amount * MICROS) if declared.meter is Meter.USD else int(declared.amount)
    if declared.meter is Meter.CONCURRENCY:
        return Concurrency(amount)
    if declared.refill_per_s is not None:
        pace = declared.refill_per_s * (MICROS if declared.meter is Meter.USD else 1)
        return TokenBucket(amount, pace)
    if declared.window_s is None:
        return CalendarWindow(amount, Period(str(declared.per)), ZoneInfo(declared.time_zone))
    window = SlidingWindow if declared.mode is Mode.SLIDING else FixedWindow
    return window(amount, float(declared.window_s))
