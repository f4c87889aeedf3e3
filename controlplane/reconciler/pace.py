"""How many writes at once: as many as are answered soon."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from controlplane.gateway.driver import IN_FLIGHT, MOST_IN_FLIGHT

SOON_S = 0.25
LATE_S = 1.0


class Pace:
    """Twice as many at once for as long as answers come soon, and half as many where they come late.

    How many a gateway takes in a second would be no measure: that differs from one kind of object to the
    next, and from one moment to the next. The more is asked of a gateway at once, the more it takes, up to
    what its cores can do; to one that is slow, writes must not go that give up while they wait for others.
    """

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self._now = now
        self.at_once = IN_FLIGHT
        self._turns = asyncio.Semaphore(IN_FLIGHT)
        self._too_many = 0
        self._answers = 0
        self._waited_s = 0.0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait until one more may be made; inside, it is."""
        await self._turns.acquire()
        began = self._now()
        try:
            yield
        finally:
            self._answered(self._now() - began)
            if self._too_many:
                self._too_many -= 1
            else:
                self._turns.release()

    def _answered(self, after_s: float) -> None:
        self._answers += 1
        self._waited_s += after_s
        if self._answers < self.at_once:
            return
        mean_s = self._waited_s / self._answers
        if mean_s <= SOON_S and self.at_once < MOST_IN_FLIGHT:
            for _ in range(self.at_once):
                self._turns.release()
            self.at_once *= 2
        elif mean_s >= LATE_S and self.at_once > 1:
            self.at_once //= 2
            self._too_many += self.at_once
        self._answers, self._waited_s = 0, 0.0
