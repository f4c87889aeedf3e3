"""Token budgets: reserve before a call, settle after it, over any number of limits at once.

    limiter = MemoryLimiter()                       # or RedisLimiter("redis://…"), shared by many processes
    budget = Limit("acme/tokens", FixedWindow(50_000, per=60))
    slots = Limit("acme/slots", Concurrency(8), meter="concurrency")

    answer = await limiter.reserve([(budget, "web", 1_200), (slots, "web", 1)])
    if isinstance(answer, Rejected):
        print(answer, answer.retry_after)
    else:
        await limiter.settle(answer, {"tokens": 812})

See docs/limiter.md.
"""

from controlplane.limiter.calendar import Period
from controlplane.limiter.limits import (
    DEFAULT_LEASE_S,
    CalendarWindow,
    Charge,
    Concurrency,
    FixedWindow,
    Limit,
    OnOutage,
    SlidingWindow,
    TokenBucket,
)
from controlplane.limiter.memory import MemoryLimiter
from controlplane.limiter.protocol import Limiter
from controlplane.limiter.redis.limiter import Health, RedisLimiter
from controlplane.limiter.results import Degraded, Granted, Outcome, Refusal, Rejected, Usage
from controlplane.limiter.scopes import HIERARCHY, ScopedLimit, charges

__all__ = [
    "DEFAULT_LEASE_S",
    "HIERARCHY",
    "CalendarWindow",
    "Charge",
    "Concurrency",
    "Degraded",
    "FixedWindow",
    "Granted",
    "Health",
    "Limit",
    "Limiter",
    "MemoryLimiter",
    "OnOutage",
    "Outcome",
    "Period",
    "RedisLimiter",
    "Refusal",
    "Rejected",
    "ScopedLimit",
    "SlidingWindow",
    "TokenBucket",
    "Usage",
    "charges",
]
