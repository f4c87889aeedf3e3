"""Keeps one part of the stack running."""

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from controlplane.clock import Clock
from controlplane.embedded.guarded import Command, Guarded
from controlplane.embedded.logs import last_lines
from controlplane.embedded.parts import Part
from controlplane.embedded.state import PartStatus, State
from controlplane.errors import PartFailed, SluiceError

Launch = Callable[[Command], Awaitable[Guarded]]

LOG_LINES_SHOWN = 15


@dataclass(frozen=True)
class Patience:
    """How long the supervisor waits for what."""

    probe_every_s: float = 0.05
    watch_every_s: float = 5.0
    first_attempts: int = 3
    failed_after: int = 5
    stable_after_s: float = 10.0
    first_pause_s: float = 0.1
    longest_pause_s: float = 10.0

    def pause_s(self, failures: int) -> float:
        """The pause before the next start, after so many failures in a row."""
        return min(self.first_pause_s * 2.0 ** (failures - 1), self.longest_pause_s)


@dataclass(frozen=True)
class Ending:
    """How one life of a part ended."""

    reason: str
    well: bool = False
    ready_for_s: float = 0.0


class Keeper:
    """Starts its part, tells when it can be used, and starts it again when it dies."""

    def __init__(
        self,
        part: Part,
        launch: Launch,
        log: Path,
        changed: Callable[[PartStatus], None],
        clock: Clock,
        patience: Patience,
    ) -> None:
        self.part = part
        self.ready = asyncio.Event()
        self.status = PartStatus(part.name, part.address, State.WAITING, clock.now())
        self._launch = launch
        self._log = log
        self._changed = changed
        self._clock = clock
        self._patience = patience

    async def keep(self) -> None:
        """Keep the part until cancelled. Raises PartFailed when it cannot even be started the first time."""
        try:
            if self.part.command is None:
                await self._watch_only()
            else:
                await self._keep_alive(self.part.command)
        except asyncio.CancelledError:
            self._enter(State.STOPPED, pid=None)
            raise

    async def _watch_only(self) -> None:
        """Watch a part that is not ours to start."""
        began = self._clock.monotonic()
        self._enter(State.STARTING)
        while words := await self._problem():
            if self._clock.monotonic() - began >= self.part.ready_within_s:
                raise PartFailed(
                    f"{self.part.name} at {self.part.address} cannot be used: {words}",
                    remedy=f"{self.part.setting} says where it is",
                )
            await asyncio.sleep(self._patience.probe_every_s)
        self._now_ready(began)
        while True:
            await asyncio.sleep(self._patience.watch_every_s)
            await self._look()

    async def _keep_alive(self, command: Callable[[], Awaitable[Command]]) -> None:
        failures = 0
        while True:
            ending = await self._live_once(command)
            if ending.well:
                return
            failures = 1 if ending.ready_for_s >= self._patience.stable_after_s else failures + 1
            if not self.ready.is_set() and failures >= self._patience.first_attempts:
                raise self._failure(ending.reason)
            state = State.FAILED if failures >= self._patience.failed_after else State.RESTARTING
            self._enter(state, pid=None, detail=ending.reason, restarts=self.status.restarts + 1)
            await asyncio.sleep(self._patience.pause_s(failures))

    async def _live_once(self, command: Callable[[], Awaitable[Command]]) -> Ending:
        """One life of the part, from its start to its end."""
        began = self._clock.monotonic()
        if not self.status.restarts:
            self._enter(State.STARTING)
        try:
            process = await self._started(await command())
        except SluiceError as error:
            if not self.ready.is_set():
                raise
            return Ending(error.message)
        self._enter(self.status.state, pid=process.pid or None)
        try:
            return await (self._serve(process, began) if self.part.problem else self._run_job(process, began))
        finally:
            if process.exit_code is None:
                self._enter(State.STOPPING)
                await process.stop()

    async def _started(self, command: Command) -> Guarded:
        """The process. A start that has begun is carried through: what nobody knows of, nobody could stop."""
        starting = asyncio.ensure_future(self._launch(command))
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            with contextlib.suppress(SluiceError):
                await (await starting).stop()
            raise

    async def _run_job(self, process: Guarded, began: float) -> Ending:
        if not await process.ended_within(self.part.ready_within_s):
            return Ending(f"not done after {self.part.ready_within_s:g} s")
        if process.exit_code != 0:
            return Ending(_words(process.exit_code))
        self._now_ready(began, State.DONE, pid=None)
        return Ending("done", well=True)

    async def _serve(self, process: Guarded, began: float) -> Ending:
        while words := await self._problem():
            if await process.ended_within(self._patience.probe_every_s):
                return Ending(_words(process.exit_code))
            if self._clock.monotonic() - began >= self.part.ready_within_s:
                return Ending(f"not ready after {self.part.ready_within_s:g} s: {words}")
        self._now_ready(began)
        ready_at = self._clock.monotonic()
        while not await process.ended_within(self._patience.watch_every_s):
            await self._look()
        return Ending(_words(process.exit_code), ready_for_s=self._clock.monotonic() - ready_at)

    async def _problem(self) -> str | None:
        return await self.part.problem() if self.part.problem else None

    async def _look(self) -> None:
        """Whether a part that runs still answers."""
        words = await self._problem()
        state = State.SILENT if words else State.READY
        if state is not self.status.state:
            self._enter(state, detail=words)

    def _now_ready(self, began: float, state: State = State.READY, **changes: Any) -> None:
        self._enter(state, detail=None, took_s=self._clock.monotonic() - began, **changes)
        self.ready.set()

    def _enter(self, state: State, **changes: Any) -> None:
        since = self.status.since if state is self.status.state else self._clock.now()
        self.status = replace(self.status, state=state, since=since, **changes)
        self._changed(self.status)

    def _failure(self, reason: str) -> PartFailed:
        lines = "".join(f"\n  | {line}" for line in last_lines(self._log, LOG_LINES_SHOWN))
        return PartFailed(
            f"{self.part.name} does not start: {reason}{lines}", remedy=f"its log is {self._log}"
        )


def _words(code: int | None) -> str:
    """An exit code in the words of somebody who has to act on it."""
    if code is None or code < 128:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(code - 128).name}"
    except ValueError:
        return f"ended with exit code {code}"
