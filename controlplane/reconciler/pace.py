"""How many writes at once: more for as long as that is faster."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from controlplane.gateway.driver import IN_FLIGHT, MOST_IN_FLIGHT

_TELLING = 100
"""The time of fewer writes says little about a gateway."""

_WORTH_IT = 1.15


class Pace:
    """Tries twice as many at once, and stays with that where the gateway then takes clearly more a second.

    A gateway that works at one write after another is not made faster by more that wait in it. One slow part
    proves nothing, for something else may have held it up; two do.
    """

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self._now = now
        self._at_once = IN_FLIGHT
        self._best = 0.0
        self._doubted = False
        self._settled = False

    def part(self, most: int) -> int:
        """How many writes to make until the next look at their time."""
        return most if self._settled else min(most, _TELLING)

    @contextmanager
    def measured(self, writes: int) -> Iterator[int]:
        """So many at once; inside, the writes are made."""
        began = self._now()
        yield self._at_once
        if writes >= _TELLING and not self._settled:
            self._judge(writes / max(self._now() - began, 1e-9))

    def _judge(self, rate: float) -> None:
        if rate >= self._best * _WORTH_IT:
            self._doubted = False
            self._best = rate
            self._settled = self._at_once == MOST_IN_FLIGHT
            self._at_once = min(self._at_once * 2, MOST_IN_FLIGHT)
        elif self._doubted:
            self._at_once //= 2
            self._settled = True
        else:
            self._doubted = True
