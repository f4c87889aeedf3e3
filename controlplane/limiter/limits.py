"""What the limiter is asked to hold: a limit, the rule by which it counts, and a charge against it."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar, NamedTuple
from zoneinfo import ZoneInfo

from controlplane.errors import InvalidSpec, Problem
from controlplane.limiter.calendar import Period

LARGEST_AMOUNT = 2**53 - 1  # the largest whole number that Redis' Lua still counts exactly
DEFAULT_LEASE_S = 60.0


class OnOutage(StrEnum):
    """What a limit does while its shared counters cannot be reached."""

    FAIL_OPEN = "fail_open"
    FAIL_CLOSED = "fail_closed"
    LOCAL = "local"


@dataclass(frozen=True, slots=True)
class FixedWindow:
    """`limit` in `per` seconds. A window begins with the first charge after the one before it has ended."""

    kind: ClassVar[str] = "F"
    limit: int
    per: float

    def __post_init__(self) -> None:
        _check_amount("limit", self.limit)
        _check_pace("per", self.per)


@dataclass(frozen=True, slots=True)
class SlidingWindow:
    """Never more than `limit` in any span of `per` seconds; it comes back in steps of a thirtieth of that."""

    kind: ClassVar[str] = "S"
    limit: int
    per: float

    def __post_init__(self) -> None:
        _check_amount("limit", self.limit)
        _check_pace("per", self.per)


@dataclass(frozen=True, slots=True)
class TokenBucket:
    """`limit` at once, and `refill_per_s` more with every second."""

    kind: ClassVar[str] = "B"
    limit: int
    refill_per_s: float

    def __post_init__(self) -> None:
        _check_amount("limit", self.limit)
        _check_pace("refill_per_s", self.refill_per_s)


@dataclass(frozen=True, slots=True)
class CalendarWindow:
    """`limit` in a day, a week (from Monday) or a month, as they begin in `time_zone`."""

    kind: ClassVar[str] = "C"
    limit: int
    period: Period
    time_zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))

    def __post_init__(self) -> None:
        _check_amount("limit", self.limit)


@dataclass(frozen=True, slots=True)
class Concurrency:
    """At most `limit` held at the same time. A slot is held until it is settled, or its lease ends."""

    kind: ClassVar[str] = "L"
    limit: int

    def __post_init__(self) -> None:
        _check_amount("limit", self.limit)


Rule = FixedWindow | SlidingWindow | TokenBucket | CalendarWindow | Concurrency


@dataclass(frozen=True, slots=True, eq=False)
class Limit:
    """A named limit.

    The name owns the counters: another limit of that name, with another rule, finds what was used. `meter`
    says what it counts; `settle` tells the truth for each meter. Money is counted in millionths.
    """

    name: str
    rule: Rule
    meter: str = "tokens"
    on_outage: OnOutage = OnOutage.LOCAL

    def __post_init__(self) -> None:
        if not self.name:
            raise InvalidSpec("a limit needs a name", remedy="the name owns its counters")


class Charge(NamedTuple):
    """`amount` against the counter that `limit` keeps for `key`. A plain tuple does as well."""

    limit: Limit
    key: str
    amount: int


Charges = tuple[tuple[Limit, str, int], ...]


def _check_amount(name: str, value: int) -> None:
    if not 0 <= value <= LARGEST_AMOUNT or value != int(value):
        message = f"must be a whole number from 0 to {LARGEST_AMOUNT}, not {value!r}"
        raise InvalidSpec("a limit cannot be kept", problems=[Problem(name, message)])


def _check_pace(name: str, value: float) -> None:
    if not 0 < value <= 1e12:  # refuses nan as well
        message = f"must be more than 0 and at most 1e12, not {value!r}"
        raise InvalidSpec("a limit cannot be kept", problems=[Problem(name, message)])
