"""The operations of the script: how each is written, and what is made of its answer."""

import asyncio
import struct
from collections.abc import Mapping
from typing import Protocol

from controlplane.limiter.algorithms import NEVER, Standing
from controlplane.limiter.limits import Charges, Limit
from controlplane.limiter.redis.batch import Batch, Operation
from controlplane.limiter.redis.record import RedisGranted, granted, write_record
from controlplane.limiter.results import Outcome, Rejected, Usage, refusal_of, rejected, usage_of

_STANDING = struct.Struct(">ddd")
_REFUSAL = struct.Struct(">Hddd")
_OUTCOMES = {b"K": Outcome.DONE, b"L": Outcome.LATE, b"N": Outcome.REPEATED}
_GRANTED, _AFTER_LEASES, _TOO_LATE = b"G", b"D", b"T"


class Desk(Protocol):
    """Where operations go."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop that all of this belongs to."""

    def submit(self, operation: Operation) -> None:
        """Run it with the next batch."""

    def defer(self, operation: "Close | Renew") -> None:
        """Run it when Redis is back."""


class Reserve:
    """Take every charge, or none and say why."""

    __slots__ = ("_charges", "_desk", "_id", "_lease", "_record", "_report", "future")

    def __init__(self, desk: Desk, id_: str, charges: Charges, lease: float, report: bool) -> None:
        self._desk = desk
        self._charges = charges
        self._lease = lease
        self._report = report
        self._id = id_
        self._record = b""
        self.future: asyncio.Future[RedisGranted | Rejected] = desk.loop.create_future()

    def write(self, batch: Batch) -> tuple[bytes, bytes]:
        figures: list[float] = []
        known = batch.positions
        for limit, key, amount in self._charges:
            figures += (known.get((limit, key)) or batch.position(limit, key), amount)
        self._record = write_record(self._id, self._charges, batch.names)
        count = len(self._charges)
        form = ">cBdB" + count * "Hd"
        return struct.pack(form, b"r", count, self._lease, self._report, *figures), self._record

    def answer(self, answer: bytes, time: bytes) -> None:
        if answer in (_AFTER_LEASES, _TOO_LATE):
            if not self.future.done():
                self._desk.submit(self)
            return
        if answer.startswith(_GRANTED):
            marks, _, report = answer[1:].partition(b"\n")
            reservation = granted(self._record, self._charges, self._lease, time, marks)
            if self.future.done():  # the caller has left
                self._desk.submit(Close(self._desk, reservation, b"c", {}))
                return
            if report:
                reservation.usage = self._usages(report)
            self.future.set_result(reservation)
        elif not self.future.done():
            self.future.set_result(self._rejection(answer[1:]))

    def fail(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)

    def abandon(self) -> None:
        """The caller has left, perhaps at the very moment when the answer was there."""
        if self.future.cancel() or self.future.cancelled() or self.future.exception() is not None:
            return
        reservation = self.future.result()
        if isinstance(reservation, RedisGranted):
            self._desk.submit(Close(self._desk, reservation, b"c", {}))

    def _usages(self, report: bytes) -> tuple[Usage, ...]:
        pairs = zip(self._charges, _STANDING.iter_unpack(report), strict=True)
        return tuple([usage_of(limit, key, standing) for (limit, key, _), standing in pairs])

    def _rejection(self, figures: bytes) -> Rejected:
        refusals = []
        for at, used, reserved, wait in _REFUSAL.iter_unpack(figures):
            limit, key, amount = self._charges[at]
            refusals.append(
                refusal_of(limit, key, amount, Standing(used, reserved, 0.0), wait if wait >= 0 else NEVER)
            )
        return rejected(refusals)


class Close:
    """Settle (`s`), cancel (`c`), or end because the lease is over (`x`). `heard` is for who waits."""

    __slots__ = ("_desk", "_granted", "_heard", "_used", "_verb")

    def __init__(
        self,
        desk: Desk,
        granted: RedisGranted,
        verb: bytes,
        used: Mapping[str, int],
        heard: asyncio.Future[Outcome] | None = None,
    ) -> None:
        self._desk = desk
        self._granted = granted
        self._verb = verb
        self._used = used
        self._heard = heard

    def write(self, batch: Batch) -> tuple[bytes, bytes]:
        figures: list[float] = []
        known = batch.positions
        settles = self._verb == b"s"
        for (limit, key, held), mark in zip(self._granted.charges, self._granted.marks, strict=True):
            used = self._used.get(limit.meter, held) if settles else 0
            figures += (known.get((limit, key)) or batch.position(limit, key), held, used, mark)
        count = len(self._granted.charges)
        form = ">cBd" + count * "Hddd"
        return struct.pack(form, self._verb, count, self._granted.since, *figures), self._granted.member

    def answer(self, answer: bytes, time: bytes) -> None:
        self._tell(_OUTCOMES[answer])

    def fail(self, error: Exception) -> None:
        if self._verb != b"x":  # that would be found again
            self._desk.defer(self)
        self._tell(Outcome.DEFERRED)

    def _tell(self, outcome: Outcome) -> None:
        if self._heard is not None and not self._heard.done():
            self._heard.set_result(outcome)


class Renew:
    """Hold it for another lease from now."""

    __slots__ = ("_desk", "_granted", "future")

    def __init__(self, desk: Desk, granted: RedisGranted) -> None:
        self._desk = desk
        self._granted = granted
        self.future: asyncio.Future[Outcome] = desk.loop.create_future()

    def write(self, batch: Batch) -> tuple[bytes, bytes]:
        positions = [batch.position(limit, key) for limit, key, _ in self._granted.charges]
        form = ">cBd" + len(positions) * "H"
        figures = struct.pack(form, b"n", len(positions), self._granted.lease, *positions)
        return figures, self._granted.member

    def answer(self, answer: bytes, time: bytes) -> None:
        if not self.future.done():
            self.future.set_result(_OUTCOMES[answer])

    def fail(self, error: Exception) -> None:
        self._desk.defer(self)
        if not self.future.done():
            self.future.set_result(Outcome.DEFERRED)


class AskUsage:
    """How one counter stands."""

    __slots__ = ("_desk", "_key", "_limit", "future")

    def __init__(self, desk: Desk, limit: Limit, key: str) -> None:
        self._desk = desk
        self._limit = limit
        self._key = key
        self.future: asyncio.Future[Usage] = desk.loop.create_future()

    def write(self, batch: Batch) -> tuple[bytes, bytes]:
        return struct.pack(">cBH", b"u", 1, batch.position(self._limit, self._key)), b""

    def answer(self, answer: bytes, time: bytes) -> None:
        if answer == _AFTER_LEASES:
            self._desk.submit(self)
        elif not self.future.done():
            standing = Standing(*_STANDING.unpack(answer[1:]))
            self.future.set_result(usage_of(self._limit, self._key, standing))

    def fail(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class CountOpen:
    """How many reservations are open."""

    __slots__ = ("_desk", "future")

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.future: asyncio.Future[int] = desk.loop.create_future()

    def write(self, batch: Batch) -> tuple[bytes, bytes]:
        return b"o\0", b""

    def answer(self, answer: bytes, time: bytes) -> None:
        if answer == _AFTER_LEASES:
            self._desk.submit(self)
        elif not self.future.done():
            self.future.set_result(int(answer[1:]))

    def fail(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)
