"""What Redis remembers of an open reservation: enough for any process to end it once its lease is over.

Its member of the open leases is `[id, [[limit, kind, its amount, pace, key, charged], …]]|time marks`: the
record is written here, the script adds the time by its clock and the marks of the buckets.
"""

from zoneinfo import ZoneInfo

import orjson

from controlplane.limiter.calendar import Period
from controlplane.limiter.limits import (
    CalendarWindow,
    Charges,
    Concurrency,
    FixedWindow,
    Limit,
    Rule,
    SlidingWindow,
    TokenBucket,
)
from controlplane.limiter.memory import MemoryGranted
from controlplane.limiter.redis.keys import Keys
from controlplane.limiter.results import Degraded, Granted, Usage


class RedisGranted(Granted):
    """A reservation of a RedisLimiter: `member` is Redis' name for it, `local` is what only we know of it."""

    __slots__ = ("closed", "local", "marks", "member", "since")

    def __init__(
        self,
        charges: Charges,
        lease: float,
        member: bytes = b"",
        since: float = 0.0,
        marks: tuple[float, ...] = (),
    ) -> None:
        self.charges = charges
        self.lease = lease
        self.usage: tuple[Usage, ...] = ()
        self.degraded: tuple[Degraded, ...] = ()
        self.member = member
        self.since = since
        self.marks = marks
        self.local: MemoryGranted | None = None
        self.closed = False


def write_record(id_: str, charges: Charges, names: Keys) -> bytes:
    """The record of a reservation that is about to be made."""
    return orjson.dumps((id_, [(*names.description(limit), key, amount) for limit, key, amount in charges]))


def granted(record: bytes, charges: Charges, lease: float, time: bytes, marks: bytes) -> RedisGranted:
    """The reservation that the script made of a record; `marks` is what it answered."""
    member = b"%b|%b%b" % (record, time, marks)
    if not marks:
        return RedisGranted(charges, lease, member, float(time), (0.0,) * len(charges))
    given = iter(marks.split())
    of_each = tuple(float(next(given)) if limit.rule.kind == "B" else 0.0 for limit, _, _ in charges)
    return RedisGranted(charges, lease, member, float(time), of_each)


def read_member(member: bytes) -> RedisGranted:
    """A reservation of any process, from its member of the open leases."""
    record, _, suffix = member.rpartition(b"|")
    time, space, marks = suffix.partition(b" ")
    _, rows = orjson.loads(record)
    charges = tuple(
        (Limit(name, _read(kind, limit, pace)), key, amount) for name, kind, limit, pace, key, amount in rows
    )
    return granted(record, charges, 0.0, time, space + marks)


def _read(kind: str, limit: int, pace: float | str | None) -> Rule:
    if kind == Concurrency.kind or pace is None:
        return Concurrency(limit)
    if kind == CalendarWindow.kind:
        period, _, zone = str(pace).partition(" ")
        return CalendarWindow(limit, Period(period), ZoneInfo(zone))
    if kind == TokenBucket.kind:
        return TokenBucket(limit, float(pace))
    return (SlidingWindow if kind == SlidingWindow.kind else FixedWindow)(limit, float(pace))
