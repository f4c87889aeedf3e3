"""Counters in this process. They survive every change of configuration and are lost with the process."""

import math
from dataclasses import dataclass

from controlplane.clock import Clock
from controlplane.fallback.counters.windows import Standing, Window

_SWEEP_EVERY = 4096


@dataclass(slots=True)
class _Fixed:
    used: int
    ends: float


@dataclass(slots=True)
class _Leak:
    excess: float
    last_ms: float


class LocalCounters:
    """Fixed windows, sliding windows, leaky buckets and open connections, by key."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._fixed: dict[str, _Fixed] = {}
        self._leaks: dict[str, _Leak] = {}
        self._open: dict[str, int] = {}
        self._until_sweep = _SWEEP_EVERY

    def __len__(self) -> int:
        """How many counters are kept."""
        return len(self._fixed) + len(self._leaks) + len(self._open)

    def now(self) -> float:
        return self._clock.now()

    def take(self, window: Window, cost: int, *, probe: int = 0) -> Standing:
        """Add a cost to a fixed window, and say whether it fits with `probe` more on top."""
        now = self._clock.now()
        counter = self._fixed.get(window.key)
        if counter is None or counter.ends <= now:
            counter = self._fixed[window.key] = _Fixed(0, now + window.seconds)
            self._sweep(now)
        counter.used += cost
        remaining = window.limit - counter.used
        return Standing(remaining, max(counter.ends - now, 0.0), remaining - probe < 0)

    def take_sliding(self, window: Window, cost: int) -> Standing:
        """Add a cost to a sliding window unless it is full; the window before counts in part."""
        now = self._clock.now()
        number = math.floor(now / window.seconds)
        left = window.seconds - now % window.seconds
        before = self._used(f"{window.key}.{number - 1}.counter", now)
        share = min(before, window.limit) / window.seconds * left
        key = f"{window.key}.{number}.counter"
        used = self._used(key, now)
        if used >= window.limit or share + used >= window.limit:
            return Standing(0, _delay(window, used, before, left), rejected=True)
        counter = self._fixed.get(key)
        if counter is None or counter.ends <= now:
            counter = self._fixed[key] = _Fixed(0, now + 2 * window.seconds)
            self._sweep(now)
        counter.used += cost
        return Standing(math.floor(window.limit - counter.used - share), _up(left), rejected=False)

    def leak(self, key: str, rate: float, burst: float) -> float | None:
        """Add a request to a leaky bucket: how long it must wait, in seconds, or None when it is full."""
        now = self._clock.now() * 1000
        state = self._leaks.get(key)
        if state is None:
            excess = 0.0
        else:
            excess = max(state.excess - rate * abs(now - state.last_ms) + 1000, 0.0)
            if excess > burst * 1000:
                return None
        self._leaks[key] = _Leak(excess, now)
        return excess / (rate * 1000)

    def enter(self, key: str, most: int) -> int | None:
        """Count one more open connection; None when there are already that many."""
        count = self._open.get(key, 0) + 1
        if count > most:
            return None
        self._open[key] = count
        return count

    def leave(self, key: str) -> None:
        """Count one open connection less."""
        count = self._open.get(key, 0) - 1
        if count > 0:
            self._open[key] = count
        else:
            self._open.pop(key, None)

    @property
    def open_connections(self) -> int:
        """All connections that have entered and not left."""
        return sum(self._open.values())

    def _used(self, key: str, now: float) -> int:
        counter = self._fixed.get(key)
        return counter.used if counter is not None and counter.ends > now else 0

    def _sweep(self, now: float) -> None:
        """Forget what is over, now and then, so that keys of long ago take no memory."""
        self._until_sweep -= 1
        if self._until_sweep > 0:
            return
        self._until_sweep = max(_SWEEP_EVERY, len(self._fixed))
        self._fixed = {key: counter for key, counter in self._fixed.items() if counter.ends > now}
        old = now * 1000 - 3_600_000
        self._leaks = {key: leak for key, leak in self._leaks.items() if leak.last_ms > old}


def _delay(window: Window, used: int, before: int, left: float) -> float:
    """How long until a sliding window has room again."""
    rate = min(before, window.limit) / window.seconds
    if used >= window.limit or rate == 0:
        return _up(left)
    return _up(max(left - (window.limit - used) / rate, 0.0))


def _up(seconds: float) -> float:
    return math.ceil(seconds * 100) / 100
