"""What a call holds of its budgets, from the moment it is let through to the end of its answer."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from controlplane.fallback.budgets.sizes import Sizes
from controlplane.fallback.llm.usage import Usage
from controlplane.limiter.estimate import Estimator
from controlplane.limiter.protocol import Limiter
from controlplane.limiter.results import Granted

LEASE_S = 60.0
_RENEWED_EVERY_S = LEASE_S / 3

Spawn = Callable[[Coroutine[Any, Any, None]], None]


class Held:
    """A reservation under way, renewed for as long as the call lasts. A gateway that dies renews nothing."""

    __slots__ = ("_limiter", "_spawn", "_timer", "granted", "sizes")

    def __init__(self, limiter: Limiter, granted: Granted, sizes: Sizes | None, spawn: Spawn) -> None:
        self.granted = granted
        self.sizes = sizes
        self._limiter = limiter
        self._spawn = spawn
        self._timer = asyncio.get_running_loop().call_later(_RENEWED_EVERY_S, self._renew)

    def settle(self, usage: Usage | None, estimator: Estimator) -> None:
        """Count what the call has cost; without a report of it what was reserved counts as used."""
        self._timer.cancel()
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
        self._timer.cancel()
        self._limiter.cancel_soon(self.granted)

    def _renew(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_RENEWED_EVERY_S, self._renew)
        self._spawn(self._renewed())

    async def _renewed(self) -> None:
        await self._limiter.renew(self.granted)
