"""What calls hold of their budgets, from the moment they are let through to the end of their answers."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from controlplane.fallback.budgets.sizes import Sizes
from controlplane.fallback.llm.usage import Usage
from controlplane.limiter.estimate import Estimator
from controlplane.limiter.protocol import Limiter
from controlplane.limiter.results import Granted

LEASE_S = 60.0
_LOOKED_THROUGH_EVERY_S = LEASE_S / 6

Spawn = Callable[[Coroutine[Any, Any, None]], None]


class Holder:
    """Renews what is held for as long as its call lasts. A gateway that dies renews nothing.

    One timer for all calls: most end long before it goes off, and one each would cost every call.
    """

    def __init__(self, limiter: Limiter, spawn: Spawn) -> None:
        self._limiter = limiter
        self._spawn = spawn
        self._loop = asyncio.get_running_loop()
        self._since: dict[Held, float] = {}
        """Since when each is held or renewed, the oldest first."""
        self._waiting = False

    def hold(self, granted: Granted, sizes: Sizes | None) -> "Held":
        held = Held(self, self._limiter, granted, sizes)
        self._since[held] = self._loop.time()
        if not self._waiting:
            self._waiting = True
            self._loop.call_later(_LOOKED_THROUGH_EVERY_S, self._look_through)
        return held

    def forget(self, held: "Held") -> None:
        self._since.pop(held, None)

    def _look_through(self) -> None:
        self._waiting = bool(self._since)
        if self._waiting:
            self._loop.call_later(_LOOKED_THROUGH_EVERY_S, self._look_through)
        now = self._loop.time()
        due = []
        for held, since in self._since.items():
            if now - since < _LOOKED_THROUGH_EVERY_S:
                break
            due.append(held)
        for held in due:
            del self._since[held]
            self._since[held] = now
            self._spawn(self._renew(held.granted))

    async def _renew(self, granted: Granted) -> None:
        await self._limiter.renew(granted)


class Held:
    """A reservation under way."""

    __slots__ = ("_holder", "_limiter", "granted", "sizes")

    def __init__(self, holder: Holder, limiter: Limiter, granted: Granted, sizes: Sizes | None) -> None:
        self.granted = granted
        self.sizes = sizes
        self._holder = holder
        self._limiter = limiter

    def settle(self, usage: Usage | None, estimator: Estimator) -> None:
        """Count what the call has cost; without a report of it what was reserved counts as used."""
        self._holder.forget(self)
        if usage is None:
            self._limiter.settle_soon(self.granted, {})
            return
        prompt, completion = usage.prompt_tokens, usage.completion_tokens
        total = usage.total_tokens or prompt + completion
        actual = {"tokens": total, "prompt_tokens": prompt, "completion_tokens": completion}
        self._limiter.settle_soon(self.granted, actual)
        if self.sizes is not None:
            estimator.learn(self.sizes.likely, prompt_tokens=prompt, completion_tokens=completion)

    def cancel(self) -> None:
        """Give everything back: the call has cost nothing."""
        self._holder.forget(self)
        self._limiter.cancel_soon(self.granted)
