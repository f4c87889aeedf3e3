"""What every algorithm's counter can do. One counter holds what one key has used of one limit."""

from typing import NamedTuple, Protocol, TypeVar

REFUSED = -1.0
NEVER = float("inf")
CONCURRENCY_HINT_S = 1.0
"""When to try for a slot again: nobody knows when one is freed, and asking is cheap."""

RuleT = TypeVar("RuleT", contravariant=True)


class Standing(NamedTuple):
    """What counts against a limit now: settled, reserved, and the seconds until all of it has come back."""

    used: float
    reserved: float
    resets_in: float


class Counter(Protocol[RuleT]):
    """`now` is the limiter's clock in seconds. What counts is `taken`: what was used and what is reserved."""

    kind: str
    taken: float

    def take(self, rule: RuleT, amount: int, now: float) -> float:
        """Reserve the amount and return a mark that `release` needs, or REFUSED and change nothing."""

    def release(self, rule: RuleT, held: int, kept: int, mark: float, now: float) -> None:
        """End a reservation of `held`, of which `kept` (never more) was used."""

    def charge(self, rule: RuleT, amount: int, now: float) -> None:
        """Count what nobody reserved, over the limit if it must be."""

    def standing(self, rule: RuleT, now: float) -> Standing:
        """What counts now."""

    def wait(self, rule: RuleT, amount: int, now: float) -> float:
        """Seconds until the amount fits if nobody takes any: 0 if it does now, NEVER if it never will."""

    def idle(self, rule: RuleT, now: float) -> bool:
        """Whether forgetting this counter changes nothing."""
