"""Starts the parts of the stack in the order of their needs, keeps them running, stops them in reverse."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from controlplane.clock import Clock
from controlplane.embedded.guarded import Command, Guarded, Lifeline
from controlplane.embedded.home import Home
from controlplane.embedded.keeper import Keeper, Patience
from controlplane.embedded.parts import Part
from controlplane.embedded.state import PartStatus


class Supervisor:
    """One run of a stack. Every change of a part is told to `changed`."""

    def __init__(
        self,
        parts: Sequence[Part],
        home: Home,
        lifeline: Lifeline,
        changed: Callable[[PartStatus], None],
        clock: Clock,
        patience: Patience | None = None,
    ) -> None:
        self._lifeline = lifeline
        self._home = home
        self._keepers = {
            part.name: Keeper(
                part, partial(self._launch, part), home.log(part.name), changed, clock, patience or Patience()
            )
            for part in parts
        }
        self._tasks: dict[str, asyncio.Task[None]] = {}

    @property
    def statuses(self) -> list[PartStatus]:
        return [keeper.status for keeper in self._keepers.values()]

    async def start(self) -> None:
        """Return when every part is ready. Raises the first error of a part that does not get so far."""
        for name, keeper in self._keepers.items():
            self._tasks[name] = asyncio.create_task(self._keep_when_possible(keeper), name=name)
        everything = _all(keeper.ready for keeper in self._keepers.values())
        await self._first_of(asyncio.create_task(everything))

    async def watch(self) -> None:
        """Run on until cancelled. Raises when a keeper itself breaks."""
        never = asyncio.Event()
        await self._first_of(asyncio.create_task(_all([never])))

    async def stop(self) -> None:
        """Stop each part after the parts that need it."""
        while self._tasks:
            needed = {need for name in self._tasks for need in self._keepers[name].part.needs}
            ending = {name: task for name, task in self._tasks.items() if name not in needed}
            for task in ending.values():
                task.cancel()
            await asyncio.gather(*ending.values(), return_exceptions=True)
            for name in ending:
                del self._tasks[name]
        await asyncio.to_thread(self._home.end_strays)

    async def _keep_when_possible(self, keeper: Keeper) -> None:
        await _all(self._keepers[need].ready for need in keeper.part.needs)
        await keeper.keep()

    async def _first_of(self, goal: asyncio.Task[None]) -> None:
        """Wait for the goal, unless a part's keeper raises before it is reached."""
        keepers = set(self._tasks.values())
        try:
            while not goal.done():
                done, _ = await asyncio.wait({goal, *keepers}, return_when=asyncio.FIRST_COMPLETED)
                for task in keepers & done:
                    task.result()
                keepers -= done
        finally:
            goal.cancel()

    async def _launch(self, part: Part, command: Command) -> Guarded:
        if self._keepers[part.name].status.restarts:
            # A guard that was killed could not end what its part had started.
            await asyncio.to_thread(self._home.end_strays)
        return await Guarded.start(command, self._lifeline, self._home.log(part.name))


async def _all(events: Iterable[asyncio.Event]) -> None:
    for event in events:
        await event.wait()
