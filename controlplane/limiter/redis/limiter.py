"""Counters that all processes share, in Redis or Valkey: one script takes every charge, or none."""

import asyncio
import contextlib
import random
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from controlplane.clock import Clock, SystemClock
from controlplane.errors import InvalidSpec, Unavailable
from controlplane.limiter.limits import DEFAULT_LEASE_S, Charges, Limit, OnOutage
from controlplane.limiter.memory import MemoryLimiter
from controlplane.limiter.redis.address import RedisUrl
from controlplane.limiter.redis.exchange import Exchange
from controlplane.limiter.redis.keys import Keys
from controlplane.limiter.redis.link import Link
from controlplane.limiter.redis.operations import AskUsage, Close, CountOpen, Renew, Reserve
from controlplane.limiter.redis.record import RedisGranted
from controlplane.limiter.redis.script import load_script
from controlplane.limiter.results import Degraded, Granted, Outcome, Rejected, Usage

LONGEST_LEASE_S = 86400.0
_SWEEP_S = 10.0


@dataclass(frozen=True, slots=True)
class Health:
    """How the limiter stands with its Redis."""

    reachable: bool
    reason: str | None
    """Why it is not reachable."""
    losses: int
    """How often the connection was lost."""
    degraded: Mapping[OnOutage, int]
    """How many charges were decided without Redis, by what was done instead."""
    deferred: int
    """Settlements that wait for it to come back."""
    given_up: int
    """Settlements that were dropped because too many waited."""


class RedisLimiter:
    """Limits that many processes share. Belongs to one event loop; connects with the first call.

    Time is Redis' own, so the clocks of the processes do not matter; with `server_time=False`, for tests, it
    is that of `clock`. While Redis cannot be reached each limit does what its `on_outage` says, and what is
    granted or rejected names the limits for which that was so.
    """

    def __init__(
        self,
        url: str | RedisUrl,
        *,
        namespace: str = "sluice",
        timeout: float = 0.25,
        clock: Clock | None = None,
        server_time: bool = True,
        jitter: random.Random | None = None,
    ) -> None:
        clock = clock or SystemClock()
        self._local = MemoryLimiter(clock)
        self._name = secrets.token_hex(6)
        self._made = 0
        self._degraded = dict.fromkeys(OnOutage, 0)
        self._sweeper: asyncio.Task[None] | None = None
        script = load_script()
        self._link = Link(
            RedisUrl.parse(url) if isinstance(url, str) else url,
            script,
            changed=self._changed,
            clock=clock,
            jitter=jitter or random.Random(),  # noqa: S311  # it spreads retries
        )
        keys = Keys(namespace, self._link.server_time if server_time else clock.now)
        self._exchange = Exchange(
            self._link, script, keys, timeout=timeout, clock=None if server_time else clock
        )

    @property
    def health(self) -> Health:
        reachable = self._link.connection is not None
        return Health(
            reachable=reachable,
            reason=None if reachable else self._link.reason or "not connected yet",
            losses=self._link.losses,
            degraded=dict(self._degraded),
            deferred=len(self._exchange.deferred),
            given_up=self._exchange.given_up,
        )

    async def reserve(
        self,
        charges: Iterable[tuple[Limit, str, int]],
        *,
        lease: float = DEFAULT_LEASE_S,
        report: bool = False,
    ) -> RedisGranted | Rejected:
        charges = tuple(charges)
        _check(charges, lease)
        self._start()
        self._made += 1
        operation = Reserve(self._exchange, f"{self._name}-{self._made}", charges, lease, report)
        self._exchange.submit(operation)
        try:
            return await operation.future
        except Unavailable:
            return self._without_redis(charges, lease, report)
        except asyncio.CancelledError:
            operation.abandon()
            raise

    async def settle(self, granted: Granted, actual: Mapping[str, int]) -> Outcome:
        return await self._closed(granted, b"s", actual)

    async def cancel(self, granted: Granted) -> Outcome:
        return await self._closed(granted, b"c", {})

    def settle_soon(self, granted: Granted, actual: Mapping[str, int]) -> None:
        self._close(granted, b"s", actual)

    def cancel_soon(self, granted: Granted) -> None:
        self._close(granted, b"c", {})

    async def renew(self, granted: Granted) -> Outcome:
        mine = _own(granted)
        if mine.closed:
            return Outcome.REPEATED
        if not mine.member:
            return Outcome.DONE if mine.local is None else self._local.renew_nowait(mine.local)
        operation = Renew(self._exchange, mine)
        self._exchange.submit(operation)
        return await operation.future

    async def usage(self, limit: Limit, key: str = "") -> Usage:
        """Raises Unavailable while Redis cannot be reached."""
        self._start()
        operation = AskUsage(self._exchange, limit, key)
        self._exchange.submit(operation)
        return await operation.future

    async def outstanding(self) -> int:
        """Of all processes. Raises Unavailable while Redis cannot be reached."""
        self._start()
        operation = CountOpen(self._exchange)
        self._exchange.submit(operation)
        return await operation.future

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Send what is on its way, then leave. Reservations that are open end with their leases."""
        if self._sweeper is None:
            return
        self._sweeper.cancel()
        with contextlib.suppress(Unavailable):
            await self.outstanding()
        await self._link.close()
        self._exchange.close()

    async def _closed(self, granted: Granted, verb: bytes, used: Mapping[str, int]) -> Outcome:
        heard: asyncio.Future[Outcome] = self._exchange.loop.create_future()
        outcome = self._close(granted, verb, used, heard)
        return await heard if outcome is None else outcome

    def _close(
        self,
        granted: Granted,
        verb: bytes,
        used: Mapping[str, int],
        heard: asyncio.Future[Outcome] | None = None,
    ) -> Outcome | None:
        """What came of it at once; None where Redis has to say it."""
        mine = _own(granted)
        if mine.closed:
            return Outcome.REPEATED
        mine.closed = True
        if not mine.member:
            if mine.local is None:
                return Outcome.DONE
            settles = verb == b"s"
            return (
                self._local.settle_nowait(mine.local, used)
                if settles
                else self._local.cancel_nowait(mine.local)
            )
        self._exchange.submit(Close(self._exchange, mine, verb, used, heard))
        return None

    def _without_redis(self, charges: Charges, lease: float, report: bool) -> RedisGranted | Rejected:
        """What each limit wants done while its counters cannot be reached."""
        done = tuple(Degraded(limit, key, limit.on_outage) for limit, key, _ in charges)
        closed = tuple(degraded for degraded in done if degraded.how is OnOutage.FAIL_CLOSED)
        for degraded in closed or done:
            self._degraded[degraded.how] += 1
        if closed:
            return Rejected((), closed)
        granted = RedisGranted(charges, lease)
        local = [charge for charge in charges if charge[0].on_outage is OnOutage.LOCAL]
        if local:
            held = self._local.reserve_nowait(local, lease=lease, report=report)
            if isinstance(held, Rejected):
                return Rejected(held.refusals, done)
            granted.local, granted.usage = held, held.usage
        granted.degraded = done
        return granted

    def _start(self) -> None:
        if self._sweeper is None:
            self._link.start()
            self._sweeper = asyncio.get_running_loop().create_task(self._sweep())

    async def _sweep(self) -> None:
        """End forgotten reservations also where nobody is refused, who would end them on the way."""
        while True:
            await asyncio.sleep(_SWEEP_S)
            with contextlib.suppress(Unavailable):
                await self.outstanding()

    def _changed(self) -> None:
        self._exchange.link_changed()


def _check(charges: Charges, lease: float) -> None:
    for limit, _, amount in charges:
        if amount < 0:
            raise InvalidSpec(f"{limit.name}: a charge of {amount} is less than nothing")
    if not 0 < lease <= LONGEST_LEASE_S:
        raise InvalidSpec(
            f"a lease of {lease!r} s", remedy=f"at most {LONGEST_LEASE_S:g} s; renew it for longer"
        )


def _own(granted: Granted) -> RedisGranted:
    if not isinstance(granted, RedisGranted):
        raise TypeError(f"{granted!r} is a reservation of another limiter")
    return granted
