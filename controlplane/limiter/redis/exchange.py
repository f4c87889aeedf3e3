"""Between the callers and Redis: gathers what is asked at the same moment into batches, few at a time."""

import asyncio
from collections import deque
from functools import cached_property, partial

from controlplane.clock import Clock
from controlplane.errors import InvalidSpec, Unavailable
from controlplane.limiter.redis.address import Address
from controlplane.limiter.redis.batch import Batch, Operation
from controlplane.limiter.redis.connection import Connection, ConnectionLost, pack
from controlplane.limiter.redis.keys import Keys
from controlplane.limiter.redis.link import Link
from controlplane.limiter.redis.operations import Close, Renew
from controlplane.limiter.redis.record import read_member
from controlplane.limiter.redis.script import Script
from controlplane.limiter.results import Outcome

BATCHES_IN_FLIGHT = 2
"""While Redis works on one, the next is there already; more would only make them smaller."""

MOST_DEFERRED = 10_000
_DEFERRED_AGAIN_S = 1.0
_SECOND_CHANCE_S = 0.02
_ANOTHER_SERVER = ("READONLY", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "NOAUTH", "TRYAGAIN", "ASK")


class Exchange:
    """Operations go in; each is answered, or told why not."""

    def __init__(
        self, link: Link, script: Script, keys: Keys, *, timeout: float, clock: Clock | None
    ) -> None:
        self._link = link
        self._script = script
        self._keys = keys
        self._timeout = timeout
        self._clock = clock
        """What the script shall take for the time, instead of the server's own."""
        self._open = Batch(keys)
        self._full: deque[Batch] = deque()
        self._in_flight: deque[Batch] = deque()
        self._flushing = False
        self._watch: asyncio.TimerHandle | None = None
        self._suspect: Batch | None = None
        self._again: asyncio.TimerHandle | None = None
        self._ending: set[bytes] = set()
        self.deferred: deque[Close | Renew] = deque()
        self.given_up = 0
        """Settlements that were dropped because too many wait for Redis to come back."""

    @cached_property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop of the first call, which all others come from too."""
        return asyncio.get_running_loop()

    def submit(self, operation: Operation) -> None:
        """Run it with the next batch."""
        if not self._open.add(operation):
            if self._open.operations:
                self._full.append(self._open)
            self._open = Batch(self._keys)
            if not self._open.add(operation):
                operation.fail(InvalidSpec("one request charges two limits of the same name that differ"))
                return
        if not self._flushing:
            self._flushing = True
            self.loop.call_soon(self._flush)

    def defer(self, operation: Close | Renew) -> None:
        """Run it when Redis is back, or in a moment if it is there."""
        if len(self.deferred) >= MOST_DEFERRED:
            self.deferred.popleft()
            self.given_up += 1
        self.deferred.append(operation)
        if self._link.connection is not None and self._again is None:
            self._again = self.loop.call_later(_DEFERRED_AGAIN_S, self.link_changed)

    def link_changed(self) -> None:
        """Redis is back, or gone."""
        self._again = None
        if self._link.connection is not None:
            deferred, self.deferred = self.deferred, deque()
            for operation in deferred:
                self.submit(operation)
        self._flush()

    def close(self) -> None:
        """Tell everybody who still waits that there will be no answer."""
        for timer in (self._watch, self._again):
            if timer is not None:
                timer.cancel()
        self._fail_waiting("the limiter was closed")

    def _flush(self) -> None:
        self._flushing = False
        connection = self._link.connection
        if connection is None:
            if self._link.reason is not None:
                self._fail_waiting(self._link.reason)
            elif self._full or self._open.operations:
                self._watch_for_answers()
            return
        while len(self._in_flight) < BATCHES_IN_FLIGHT and (self._full or self._open.operations):
            if self._full:
                batch = self._full.popleft()
            else:
                batch, self._open = self._open, Batch(self._keys)
            self._send(connection, batch)

    def _send(self, connection: Connection, batch: Batch) -> None:
        batch.sent_at = self.loop.time()
        self._in_flight.append(batch)
        self._watch_for_answers()
        if self._clock is None:
            time, deadline = b"", repr(self._link.server_time() + self._timeout).encode()
        else:
            time, deadline = repr(self._clock.now()).encode(), b""
        connection.send(batch.command(self._script.sha, time, deadline), partial(self._received, batch))

    def _received(self, batch: Batch, reply: object) -> None:
        self._in_flight.remove(batch)
        if isinstance(reply, list):
            time, due, *answers = reply
            self._link.learn_time(float(time))
            for member in due:
                self._end(member)
            for operation, answer in zip(batch.operations, answers, strict=True):
                operation.answer(answer, time)
        elif isinstance(reply, ConnectionLost):
            _fail(batch, reply)
        else:
            self._refused(batch, str(reply))
        if self._full or self._open.operations:
            self._flush()

    def _refused(self, batch: Batch, reason: str) -> None:
        """The script did not run: it must be loaded, or another server asked, or nothing can be done."""
        word, _, rest = reason.partition(" ")
        connection = self._link.connection
        if word == "NOSCRIPT" and connection is not None and not batch.sent_again:
            batch.sent_again = True
            connection.send(pack(("SCRIPT", "LOAD", self._script.text)), lambda _: None)
            self._send(connection, batch)
        elif word == "MOVED":
            host, _, port = rest.rpartition(" ")[2].rpartition(":")
            self._full.appendleft(batch)
            self._link.drop(reason, Address(host.strip("[]"), int(port)) if host else None)
        else:
            if word in _ANOTHER_SERVER:
                self._link.drop(reason)
            _fail(batch, Unavailable(reason))

    def _end(self, member: bytes) -> None:
        """End a reservation whose lease is over, whoever made it."""
        if member in self._ending:
            return
        heard: asyncio.Future[Outcome] = self.loop.create_future()
        try:
            operation = Close(self, read_member(member), b"x", {}, heard)
        except (ValueError, TypeError):
            self._forget(member)
            return
        self._ending.add(member)
        heard.add_done_callback(lambda _: self._ending.discard(member))
        self.submit(operation)

    def _forget(self, member: bytes) -> None:
        """Nobody can read it, so nobody could ever end it, and it would be in the way of all others."""
        if self._link.connection is not None:
            command = pack((b"ZREM", self._keys.open_leases, member))
            self._link.connection.send(command, lambda _: None)

    def _watch_for_answers(self) -> None:
        if self._watch is None:
            self._watch = self.loop.call_later(self._timeout, self._check)

    def _check(self) -> None:
        """Give up on a Redis that does not answer."""
        self._watch = None
        if self._in_flight:
            oldest = self._in_flight[0]
            left = oldest.sent_at + self._timeout - self.loop.time()
            if left <= 0 and self._suspect is not oldest:
                self._suspect = oldest  # its answer may be there, unread, if this process was busy elsewhere
                left = _SECOND_CHANCE_S
            if left > 0:
                self._watch = self.loop.call_later(left, self._check)
                return
        elif self._link.connection is not None or not (self._full or self._open.operations):
            return
        self._link.drop(f"no answer within {self._timeout:g} s")
        self._fail_waiting(f"no answer within {self._timeout:g} s")

    def _fail_waiting(self, reason: str) -> None:
        waiting = [*self._full, self._open]
        self._full, self._open = deque(), Batch(self._keys)
        for batch in waiting:
            _fail(batch, Unavailable(reason))


def _fail(batch: Batch, error: Exception) -> None:
    for operation in batch.operations:
        operation.fail(error)
