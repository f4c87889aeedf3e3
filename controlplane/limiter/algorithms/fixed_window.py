"""A window that begins with the first charge after the one before it has ended."""

from controlplane.limiter.algorithms.counter import NEVER, REFUSED, Standing
from controlplane.limiter.limits import FixedWindow


class FixedWindowCounter:
    """A call counts in the window that admitted it; what it used beyond, in the one where that is learnt."""

    __slots__ = ("reserved", "start", "taken")
    kind = FixedWindow.kind

    def __init__(self, taken: float, now: float) -> None:
        self.start = now
        self.taken = taken
        self.reserved = 0

    def take(self, rule: FixedWindow, amount: int, now: float) -> float:
        if now - self.start >= rule.per or not self.taken:
            self._begin(now)
        taken = self.taken + amount
        if taken > rule.limit:
            return REFUSED
        self.taken = taken
        self.reserved += amount
        return self.start

    def release(self, rule: FixedWindow, held: int, kept: int, mark: float, now: float) -> None:
        if mark == self.start:
            self.taken += kept - held
            self.reserved -= held

    def charge(self, rule: FixedWindow, amount: int, now: float) -> None:
        if now - self.start >= rule.per or not self.taken:
            self._begin(now)
        self.taken += amount

    def standing(self, rule: FixedWindow, now: float) -> Standing:
        if now - self.start >= rule.per or not self.taken:
            return Standing(0, 0, 0.0)
        return Standing(self.taken - self.reserved, self.reserved, self.start + rule.per - now)

    def wait(self, rule: FixedWindow, amount: int, now: float) -> float:
        if amount > rule.limit:
            return NEVER
        used, reserved, resets_in = self.standing(rule, now)
        return 0.0 if used + reserved + amount <= rule.limit else resets_in

    def idle(self, rule: FixedWindow, now: float) -> bool:
        return not self.taken or now - self.start >= 2 * rule.per

    def _begin(self, now: float) -> None:
        self.start = now
        self.taken = 0
        self.reserved = 0
