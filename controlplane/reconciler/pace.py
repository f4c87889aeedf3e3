"""How many writes at once: more for as long as that is faster."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from controlplane.gateway.driver import IN_FLIGHT, MOST_IN_FLIGHT

_TELLING = 100
"""The time of fewer writes says little about a gateway."""

_WORTH_IT = 1.15

_UNTIL_NEXT_TRY = 1000
"""So many writes after more at once were no faster, it may have been something else that held them up."""


class Pace:
    """Tries twice as many at once, and stays with that where the gateway then takes clearly more a second.

    A gateway that works at one write after another is not made faster by more that wait in it.
    """

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self._now = now
        self._at_once = IN_FLIGHT
        self._rate_before = 0.0
        """What half as many at once achieved."""
        self._doubted = False
        self._until_try = 0.0

    def part(self, most: int) -> int:
        """How many writes to make until the next look at their time."""
        return most if self._until_try > 0 else min(most, _TELLING)

    @contextmanager
    def measured(self, writes: int) -> Iterator[int]:
        """So many at once; inside, the writes are made."""
        began = self._now()
        yield self._at_once
        if writes >= _TELLING:
            self._judge(writes / max(self._now() - began, 1e-9))
        self._until_try = max(0.0, self._until_try - writes)

    def _judge(self, rate: float) -> None:
        if self._until_try > 0:
            return
        faster = rate >= self._rate_before * _WORTH_IT
        if faster and self._at_once < MOST_IN_FLIGHT:
            self._rate_before, self._doubted = rate, False
            self._at_once *= 2
        elif faster:
            self._try_again_after(math.inf)
        elif self._doubted:
            self._at_once //= 2
            self._try_again_after(_UNTIL_NEXT_TRY)
        else:
            self._doubted = True  # once proves nothing, for something else may have held it up

    def _try_again_after(self, writes: float) -> None:
        self._rate_before, self._doubted, self._until_try = 0.0, False, writes
