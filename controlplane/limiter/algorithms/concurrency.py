"""Slots that are held, not used up: a slot is free again as soon as it is settled."""

from controlplane.limiter.algorithms.counter import CONCURRENCY_HINT_S, NEVER, REFUSED, Standing
from controlplane.limiter.limits import Concurrency


class ConcurrencyCounter:
    """How many slots are held. The limiter ends the leases that nobody settles or renews."""

    __slots__ = ("taken",)
    kind = Concurrency.kind

    def __init__(self) -> None:
        self.taken = 0

    def take(self, rule: Concurrency, amount: int, now: float) -> float:
        taken = self.taken + amount
        if taken > rule.limit:
            return REFUSED
        self.taken = taken
        return 0.0

    def release(self, rule: Concurrency, held: int, kept: int, mark: float, now: float) -> None:
        self.taken = max(0, self.taken - held)

    def charge(self, rule: Concurrency, amount: int, now: float) -> None:
        """Nothing: a call that has ended holds no slot."""

    def standing(self, rule: Concurrency, now: float) -> Standing:
        return Standing(0, self.taken, 0.0)

    def wait(self, rule: Concurrency, amount: int, now: float) -> float:
        if amount > rule.limit:
            return NEVER
        return 0.0 if self.taken + amount <= rule.limit else CONCURRENCY_HINT_S

    def idle(self, rule: Concurrency, now: float) -> bool:
        return not self.taken
