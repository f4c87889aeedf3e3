"""How often somebody may fail to sign in."""

import math

from controlplane.clock import Clock
from controlplane.errors import TooManyAttempts
from controlplane.limiter.limits import Limit, OnOutage, TokenBucket
from controlplane.limiter.memory import MemoryLimiter
from controlplane.limiter.results import Granted, Rejected

FAILURES = 10
_FORGIVEN_PER_S = FAILURES / 300
_EVERYBODY = 50
"""Failures at once from all addresses together, so that many addresses are not a way around."""


class Throttle:
    """Ten failures from one address, then one every half minute. What succeeds counts nothing.

    Each replica of the service counts by itself.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._limiter = MemoryLimiter(clock)
        self._each = _failures("address", FAILURES, _FORGIVEN_PER_S)
        self._all = _failures("everybody", _EVERYBODY, _EVERYBODY * _FORGIVEN_PER_S / FAILURES)

    async def attempt(self, address: str) -> "Attempt":
        """Begin to sign in. Raises TooManyAttempts."""
        taken = await self._limiter.reserve([(self._each, address, 1), (self._all, "", 1)])
        if isinstance(taken, Rejected):
            wait = max(1, math.ceil(taken.retry_after or 1))
            raise TooManyAttempts(
                "signing in has failed too often", retry_after_s=wait, remedy=f"try again in {wait} s"
            )
        return Attempt(self._limiter, taken)


class Attempt:
    """One attempt: it has failed unless it is said to have succeeded."""

    def __init__(self, limiter: MemoryLimiter, taken: Granted) -> None:
        self._limiter = limiter
        self._taken = taken

    async def __aenter__(self) -> "Attempt":
        return self

    async def succeeded(self) -> None:
        await self._limiter.cancel(self._taken)

    async def __aexit__(self, *_: object) -> None:
        await self._limiter.settle(self._taken, {})


def _failures(name: str, limit: int, forgiven_per_s: float) -> Limit:
    return Limit(f"failed sign-ins of {name}", TokenBucket(limit, forgiven_per_s), "requests", OnOutage.LOCAL)
