"""One module for each way to count: a counter holds what one key has used of one limit."""

from controlplane.clock import Clock
from controlplane.limiter.algorithms.calendar_window import CalendarWindowCounter
from controlplane.limiter.algorithms.concurrency import ConcurrencyCounter
from controlplane.limiter.algorithms.counter import NEVER, REFUSED, Counter, Standing
from controlplane.limiter.algorithms.fixed_window import FixedWindowCounter
from controlplane.limiter.algorithms.sliding_window import SlidingWindowCounter
from controlplane.limiter.algorithms.token_bucket import TokenBucketCounter
from controlplane.limiter.limits import CalendarWindow, Concurrency, FixedWindow, Rule, SlidingWindow

__all__ = ["NEVER", "REFUSED", "Counter", "Standing", "new_counter"]


def new_counter(rule: Rule, taken: float, now: float, clock: Clock) -> Counter[Rule]:
    """A counter for that rule which has `taken` on it: what an edit of the limit's kind carries over."""
    counter: object
    if isinstance(rule, FixedWindow):
        counter = FixedWindowCounter(taken, now)
    elif isinstance(rule, SlidingWindow):
        counter = SlidingWindowCounter(taken, now)
    elif isinstance(rule, CalendarWindow):
        counter = CalendarWindowCounter(taken, clock.now)
    elif isinstance(rule, Concurrency):
        counter = ConcurrencyCounter()
    else:
        counter = TokenBucketCounter(taken, now)
    return counter  # type: ignore[return-value]  # each counter is only ever given rules of its own kind
