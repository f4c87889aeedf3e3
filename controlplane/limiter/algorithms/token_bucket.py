"""A bucket that holds `limit` and refills steadily.

Kept as what was taken and drains, rather than as what is left: when a limit is edited, what was used stays
used. Charges drain in the order in which they came, and a reservation gets back only what has not drained of
it; were it more, the bucket would have refilled twice for it, and a burst could exceed the limit.
"""

from controlplane.limiter.algorithms.counter import NEVER, REFUSED, Standing
from controlplane.limiter.limits import TokenBucket


class TokenBucketCounter:
    """`poured` counts everything that was ever taken: `poured - taken` is how far it has drained."""

    __slots__ = ("poured", "reserved", "stamp", "taken")
    kind = TokenBucket.kind

    def __init__(self, taken: float, now: float) -> None:
        self.stamp = now
        self.taken = taken
        self.poured = taken
        self.reserved = 0.0

    def take(self, rule: TokenBucket, amount: int, now: float) -> float:
        taken = self.taken - (now - self.stamp) * rule.refill_per_s
        taken = taken + amount if taken > 0.0 else amount
        if taken > rule.limit:
            return REFUSED
        self.stamp = now
        self.taken = taken
        self.reserved += amount
        self.poured = poured = self.poured + amount
        return poured

    def release(self, rule: TokenBucket, held: int, kept: int, mark: float, now: float) -> None:
        self._drain(rule, now)
        undrained = min(mark - (self.poured - self.taken), held)
        if undrained > 0.0:
            returned = min(held - kept, undrained)
            self.taken -= returned
            if (
                mark == self.poured
            ):  # nothing came after it: the queue is shorter, rather than further drained
                self.poured -= returned
        self.reserved -= held

    def charge(self, rule: TokenBucket, amount: int, now: float) -> None:
        self._drain(rule, now)
        self.taken += amount
        self.poured += amount

    def standing(self, rule: TokenBucket, now: float) -> Standing:
        self._drain(rule, now)
        reserved = min(self.reserved, self.taken)
        return Standing(self.taken - reserved, reserved, self.taken / rule.refill_per_s)

    def wait(self, rule: TokenBucket, amount: int, now: float) -> float:
        if amount > rule.limit:
            return NEVER
        self._drain(rule, now)
        return max(0.0, (self.taken + amount - rule.limit) / rule.refill_per_s)

    def idle(self, rule: TokenBucket, now: float) -> bool:
        self._drain(rule, now)
        return not self.taken and not self.reserved

    def _drain(self, rule: TokenBucket, now: float) -> None:
        self.taken = max(0.0, self.taken - (now - self.stamp) * rule.refill_per_s)
        self.stamp = now
