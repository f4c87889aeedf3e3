"""Limits as people declare them."""

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from controlplane.core.limits import Limit as DeclaredLimit
from controlplane.limiter import (
    CalendarWindow,
    Concurrency,
    FixedWindow,
    OnOutage,
    Period,
    SlidingWindow,
    TokenBucket,
)
from controlplane.limiter.declared import limit_of


@pytest.mark.parametrize(
    ("declared", "rule"),
    [
        ({"tokens": 500, "per": "1m"}, FixedWindow(500, 60.0)),
        ({"tokens": 500, "per": "1h", "mode": "sliding"}, SlidingWindow(500, 3600.0)),
        ({"tokens": 500, "refill_per_s": 2.5}, TokenBucket(500, 2.5)),
        ({"concurrency": 32}, Concurrency(32)),
        (
            {"requests": 9, "per": "month", "time_zone": "Asia/Tokyo"},
            CalendarWindow(9, Period.MONTH, ZoneInfo("Asia/Tokyo")),
        ),
        ({"usd": 12.5, "per": "day"}, CalendarWindow(12_500_000, Period.DAY)),
        ({"usd": 1, "refill_per_s": 0.001}, TokenBucket(1_000_000, 1000.0)),
    ],
)
def test_a_declared_limit_counts_as_it_says(declared: dict[str, Any], rule: object) -> None:
    limit = limit_of("queue/support/0", DeclaredLimit(**declared), OnOutage.FAIL_CLOSED)
    assert limit.rule == rule
    assert limit.meter in declared
    assert limit.on_outage is OnOutage.FAIL_CLOSED
