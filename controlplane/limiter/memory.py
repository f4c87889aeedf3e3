"""Counters in this process' memory: exact, safe for threads, and without a single await."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from threading import Lock
from typing import Self

from controlplane.clock import Clock, SystemClock
from controlplane.errors import InvalidSpec
from controlplane.limiter.algorithms import REFUSED
from controlplane.limiter.counters import Counters
from controlplane.limiter.limits import DEFAULT_LEASE_S, Charges, Limit
from controlplane.limiter.results import Granted, Outcome, Rejected, Usage, refusal_of, rejected, usage_of

_DONE = Outcome.DONE  # looking it up costs as much as a charge


class MemoryGranted(Granted):
    """A reservation of a MemoryLimiter."""

    __slots__ = ("expires", "marks", "outcome")

    def __init__(self, charges: Charges, marks: list[float], lease: float, expires: float) -> None:
        self.charges = charges
        self.lease = lease
        self.usage = ()
        self.degraded = ()
        self.marks = marks
        self.expires = expires
        self.outcome: Outcome | None = None
        """None while it is open, DONE after that, LATE once its lease has ended and until it is settled."""


class MemoryLimiter:
    """The limits of one process. Every `…_nowait` does its work at once; the others are the same to await."""

    def __init__(self, clock: Clock | None = None) -> None:
        clock = clock or SystemClock()
        self._now = clock.monotonic
        self._counters = Counters(clock)
        self._by_limit = self._counters.by_limit
        self._open: dict[float, OrderedDict[MemoryGranted, None]] = {DEFAULT_LEASE_S: OrderedDict()}
        """For each length of lease, the reservations in the order in which they end."""
        self._lock = Lock()

    def reserve_nowait(
        self,
        charges: Iterable[tuple[Limit, str, int]],
        *,
        lease: float = DEFAULT_LEASE_S,
        report: bool = False,
    ) -> MemoryGranted | Rejected:
        """Take every charge, or none and say why."""
        charges = tuple(charges)
        marks: list[float] = []
        self._lock.acquire()  # `with` would take a tenth of the time of all of this
        try:
            now = self._now()
            if not self._take(charges, marks, now) and not (
                self._end_leases(now) and self._take(charges, marks, now)
            ):
                return self._refuse(charges, now)
            granted = MemoryGranted(charges, marks, lease, now + lease)
            try:
                self._open[lease][granted] = None
            except KeyError:
                self._open[lease] = OrderedDict({granted: None})
            if report:
                granted.usage = tuple(self._usage(limit, key, now) for limit, key, _ in charges)
            return granted
        finally:
            self._lock.release()

    def settle_nowait(self, granted: Granted, actual: Mapping[str, int]) -> Outcome:
        """Count what was used of each meter, give back the rest. A meter not named was used as reserved."""
        mine = _own(granted)
        self._lock.acquire()
        try:
            now = self._now()
            outcome = self._close(mine)
            if outcome is _DONE:
                self._count(mine, actual, now)
            elif outcome is Outcome.LATE:
                self._count_late(mine, actual, now)
            return outcome
        finally:
            self._lock.release()

    def cancel_nowait(self, granted: Granted) -> Outcome:
        """Give everything back, as if it had never been reserved."""
        mine = _own(granted)
        with self._lock:
            outcome = self._close(mine)
            if outcome is Outcome.DONE:
                self._give_back(mine.charges, mine.marks, self._now())
            return outcome

    def renew_nowait(self, granted: Granted) -> Outcome:
        """Hold it for another lease from now."""
        mine = _own(granted)
        with self._lock:
            if mine.outcome is None:
                mine.expires = self._now() + mine.lease
                self._open[mine.lease].move_to_end(mine)
                return Outcome.DONE
            return Outcome.LATE if mine.outcome is Outcome.LATE else Outcome.REPEATED

    def usage_nowait(self, limit: Limit, key: str = "") -> Usage:
        """How the counter of that key stands."""
        with self._lock:
            now = self._now()
            self._end_leases(now)
            return self._usage(limit, key, now)

    def outstanding_nowait(self) -> int:
        """How many reservations are open."""
        with self._lock:
            self._end_leases(self._now())
            return sum(map(len, self._open.values()))

    async def reserve(
        self,
        charges: Iterable[tuple[Limit, str, int]],
        *,
        lease: float = DEFAULT_LEASE_S,
        report: bool = False,
    ) -> MemoryGranted | Rejected:
        return self.reserve_nowait(charges, lease=lease, report=report)

    async def settle(self, granted: Granted, actual: Mapping[str, int]) -> Outcome:
        return self.settle_nowait(granted, actual)

    async def cancel(self, granted: Granted) -> Outcome:
        return self.cancel_nowait(granted)

    async def renew(self, granted: Granted) -> Outcome:
        return self.renew_nowait(granted)

    async def usage(self, limit: Limit, key: str = "") -> Usage:
        return self.usage_nowait(limit, key)

    async def outstanding(self) -> int:
        return self.outstanding_nowait()

    def settle_soon(self, granted: Granted, actual: Mapping[str, int]) -> None:
        self.settle_nowait(granted, actual)

    def cancel_soon(self, granted: Granted) -> None:
        self.cancel_nowait(granted)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Nothing to close: here for callers that hold any limiter."""

    def _take(self, charges: Charges, marks: list[float], now: float) -> bool:
        """Take them all and note the marks, or none."""
        by_limit = self._by_limit
        for limit, key, amount in charges:
            try:
                counter = by_limit[limit][key]
            except KeyError:
                counter = self._counters.find(limit, key, now)
            mark = counter.take(limit.rule, amount, now) if amount >= 0 else REFUSED
            if mark == REFUSED:
                self._give_back(charges, marks, now)
                marks.clear()
                return False
            marks.append(mark)
        return True

    def _give_back(self, charges: Charges, marks: list[float], now: float) -> None:
        for (limit, key, held), mark in reversed(list(zip(charges, marks, strict=False))):
            counter = self._counters.still(limit, key)
            if counter is not None:
                counter.release(limit.rule, held, 0, mark, now)

    def _count(self, mine: MemoryGranted, actual: Mapping[str, int], now: float) -> None:
        by_limit, used_of = self._by_limit, actual.get
        for (limit, key, held), mark in zip(mine.charges, mine.marks, strict=True):
            try:
                counter = by_limit[limit][key]
            except KeyError:
                found = self._counters.still(limit, key)
                if found is None:
                    continue
                counter = found
            used = used_of(limit.meter, held)
            if used <= held:
                counter.release(limit.rule, held, used, mark, now)
            else:
                counter.release(limit.rule, held, held, mark, now)
                counter.charge(limit.rule, used - held, now)

    def _count_late(self, mine: MemoryGranted, actual: Mapping[str, int], now: float) -> None:
        for limit, key, held in mine.charges:
            if not self._counters.counts_otherwise(limit):
                counter = self._counters.find(limit, key, now)
                counter.charge(limit.rule, actual.get(limit.meter, held), now)

    def _close(self, mine: MemoryGranted) -> Outcome:
        """Close it, and say what it was: open (DONE), ended by its lease (LATE), or closed (REPEATED)."""
        outcome = mine.outcome
        mine.outcome = _DONE
        if outcome is None:
            del self._open[mine.lease][mine]
            return _DONE
        return Outcome.LATE if outcome is Outcome.LATE else Outcome.REPEATED

    def _end_leases(self, now: float) -> bool:
        """End the reservations whose lease is over; whether there were any."""
        ended = False
        for open_ in self._open.values():
            while open_:
                granted = next(iter(open_))
                if granted.expires > now:
                    break
                del open_[granted]
                granted.outcome = Outcome.LATE
                self._give_back(granted.charges, granted.marks, now)
                ended = True
        return ended

    def _refuse(self, charges: Charges, now: float) -> Rejected:
        asked: dict[tuple[str, str], int] = {}
        refusals = []
        for limit, key, amount in charges:
            if amount < 0:
                raise InvalidSpec(f"{limit.name}: a charge of {amount} is less than nothing")
            counter = self._counters.find(limit, key, now)
            total = asked[limit.name, key] = asked.get((limit.name, key), 0) + amount
            wait = counter.wait(limit.rule, total, now)
            if wait > 0:
                refusals.append(refusal_of(limit, key, amount, counter.standing(limit.rule, now), wait))
        return rejected(refusals)

    def _usage(self, limit: Limit, key: str, now: float) -> Usage:
        return usage_of(limit, key, self._counters.find(limit, key, now).standing(limit.rule, now))


def _own(granted: Granted) -> MemoryGranted:
    if not isinstance(granted, MemoryGranted):
        raise TypeError(f"{granted!r} is a reservation of another limiter")
    return granted
