"""Commands that have to reach Redis some time, however long it is away."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from controlplane.fallback.counters.redis_connection import Argument
from controlplane.fallback.counters.windows import CountersGone

MOST_OWED = 10_000
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 2.0


class Owed:
    """Sends each command again until Redis has done it. It may be done twice.

    What is owed is kept in memory, at most `MOST_OWED` of it: the oldest is forgotten first.
    """

    def __init__(self, command: Callable[..., Awaitable[Any]]) -> None:
        self._command = command
        self._commands: deque[tuple[Argument, ...]] = deque(maxlen=MOST_OWED)
        self._paying: asyncio.Task[None] | None = None

    def add(self, parts: tuple[Argument, ...]) -> None:
        self._commands.append(parts)
        if self._paying is None or self._paying.done():
            self._paying = asyncio.get_running_loop().create_task(self._pay())

    async def close(self) -> None:
        """Forget what is owed: the counters' own expiry has to do."""
        if self._paying is not None:
            self._paying.cancel()
            await asyncio.gather(self._paying, return_exceptions=True)

    async def _pay(self) -> None:
        pause = _FIRST_PAUSE_S
        while self._commands:
            parts = self._commands.popleft()
            try:
                await self._command(*parts)
                pause = _FIRST_PAUSE_S
            except CountersGone:
                self._commands.append(parts)
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_S)
