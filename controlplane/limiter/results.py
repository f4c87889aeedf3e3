"""What the limiter answers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from controlplane.limiter.algorithms.counter import NEVER, Standing
from controlplane.limiter.limits import Charges, Limit, OnOutage

OUTAGE_HINT_S = 1.0
"""When to try again while counters cannot be reached."""


class Outcome(StrEnum):
    """What became of a `settle`, `cancel` or `renew`."""

    DONE = "done"
    LATE = "late"
    """The lease had ended. A late `settle` still counts what was used; a late `renew` holds nothing."""
    REPEATED = "repeated"
    """It had been settled or cancelled before; nothing was changed."""
    DEFERRED = "deferred"
    """The shared counters cannot be reached; it is applied when they are back."""


class Usage(NamedTuple):
    """How one counter stands. `resets_in` is in how many seconds all of it has come back."""

    limit: Limit
    key: str
    used: int
    reserved: int
    resets_in: float

    @property
    def left(self) -> int:
        return max(0, self.limit.rule.limit - self.used - self.reserved)


@dataclass(frozen=True, slots=True)
class Refusal:
    """One limit that the request does not fit into. `retry_after` is None where waiting cannot help."""

    limit: Limit
    key: str
    requested: int
    used: int
    reserved: int
    retry_after: float | None

    def __str__(self) -> str:
        where = f"{self.limit.name} ({self.key})" if self.key else self.limit.name
        wish = f"{where}: {self.requested} {self.limit.meter}"
        standing = f"{self.used} used and {self.reserved} reserved of {self.limit.rule.limit}"
        if self.retry_after is None:
            return f"{wish} can never fit: {standing}"
        return f"{wish} do not fit: {standing}; try in {self.retry_after:g} s"


@dataclass(frozen=True, slots=True)
class Degraded:
    """A limit that was not held by the shared counters, and what was done instead."""

    limit: Limit
    key: str
    how: OnOutage


class Granted:
    """A reservation: hand it to `settle`, `cancel` or `renew`. It ends by itself after `lease` seconds.

    `usage` has one entry for each charge if the reservation was made with `report=True`. `degraded` names the
    limits that were not held by the shared counters.
    """

    __slots__ = ("charges", "degraded", "lease", "usage")

    charges: Charges
    lease: float
    usage: tuple[Usage, ...]
    degraded: tuple[Degraded, ...]


@dataclass(frozen=True, slots=True)
class Rejected:
    """Nothing was taken anywhere. `refusals` has every limit that said no, the longest to wait for first."""

    refusals: tuple[Refusal, ...]
    unavailable: tuple[Degraded, ...] = ()
    """Limits that fail closed while their counters cannot be reached."""

    @property
    def binding(self) -> Refusal | None:
        """The refusal that decides when to try again; None if only counters could not be reached."""
        return self.refusals[0] if self.refusals else None

    @property
    def retry_helps(self) -> bool:
        """Whether the same request can succeed later; if not, it is larger than a limit can ever hold."""
        return all(refusal.retry_after is not None for refusal in self.refusals)

    @property
    def retry_after(self) -> float | None:
        """Seconds after which everything fits if nobody else takes any; None if it never will."""
        if not self.retry_helps:
            return None
        waits = [refusal.retry_after or 0.0 for refusal in self.refusals]
        return max(waits, default=OUTAGE_HINT_S)

    def __str__(self) -> str:
        lost = [f"{degraded.limit.name}: its counters cannot be reached" for degraded in self.unavailable]
        return "; ".join([*map(str, self.refusals), *lost])


def usage_of(limit: Limit, key: str, standing: tuple[float, float, float]) -> Usage:
    """A counter's standing (a `Standing`) in whole units, with nothing rounded in the caller's favour."""
    used, reserved, resets_in = standing
    return Usage(limit, key, math.ceil(used), math.ceil(reserved), resets_in)


def refusal_of(limit: Limit, key: str, requested: int, standing: Standing, wait: float) -> Refusal:
    """Why a charge was refused, and when to try again."""
    retry_after = None if wait == NEVER else whole_milliseconds(wait)
    return Refusal(limit, key, requested, math.ceil(standing.used), math.ceil(standing.reserved), retry_after)


def rejected(refusals: Sequence[Refusal]) -> Rejected:
    """The rejection, with the refusal that binds first."""
    return Rejected(tuple(sorted(refusals, key=_longest_first)))


def _longest_first(refusal: Refusal) -> float:
    return -NEVER if refusal.retry_after is None else -refusal.retry_after


def whole_milliseconds(seconds: float) -> float:
    """The next whole millisecond after so many seconds, so that a caller who waits for it is never early."""
    return (math.floor(seconds * 1000) + 1) / 1000
