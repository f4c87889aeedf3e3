"""Values from many workers to one who keeps them some hundred at a time, while the work goes on."""

import asyncio
from typing import Generic, TypeVar

T = TypeVar("T")


class Handover(Generic[T]):
    """Holds what is made until it is taken; who makes more waits once as much again is held."""

    def __init__(self, together: int) -> None:
        self._together = together
        self._held: list[T] = []
        self._ready, self._room = asyncio.Event(), asyncio.Event()
        self._ended = False

    async def put(self, value: T) -> None:
        self._held.append(value)
        if len(self._held) >= self._together:
            self._ready.set()
        if len(self._held) >= 2 * self._together:
            self._room.clear()
            await self._room.wait()

    def end(self) -> None:
        """Nothing more will come."""
        self._ended = True
        self._ready.set()

    async def take(self) -> list[T]:
        """What is held, once it is enough; at the end the rest, and then nothing."""
        await self._ready.wait()
        held, self._held = self._held, []
        self._room.set()
        if not self._ended:
            self._ready.clear()
        return held
