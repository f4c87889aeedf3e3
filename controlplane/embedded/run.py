"""One run of the embedded stack, from the lock on its home to the last part's end."""

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from typing import Any

from controlplane.clock import Clock
from controlplane.embedded.guarded import Lifeline
from controlplane.embedded.home import Home
from controlplane.embedded.listeners import Everyone, SupervisorLog
from controlplane.embedded.parts import Listener, Part
from controlplane.embedded.ports import check_ports
from controlplane.embedded.stack import Stack
from controlplane.embedded.stack_secrets import StackSecrets
from controlplane.embedded.state import PartStatus, StackState
from controlplane.embedded.supervisor import Supervisor
from controlplane.settings import Settings

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


async def run_stack(
    settings: Settings,
    environ: Mapping[str, str],
    listener: Listener,
    clock: Clock,
    parts_of: Callable[[Stack], Sequence[Part]] = Stack.parts,
) -> None:
    """Run the stack until a signal asks to stop. What keeps it from starting is raised once all has ended."""
    began = clock.monotonic()
    home = Home.at(settings.home)
    home.create()
    first = not any(home.secrets.iterdir())
    with home.taken(), home.without_orphans() as parts_lock, closing(Lifeline(parts_lock)) as lifeline:
        secrets = StackSecrets.load_or_create(home.secrets, settings)
        stack = Stack(settings, environ, home, secrets, lifeline)
        everyone = Everyone(SupervisorLog(home, clock), listener)
        run = StackRun(parts_of(stack), home, lifeline, everyone, clock)
        check_ports(stack.port_wishes())
        await run.until_told_to_stop(lambda: everyone.all_ready(clock.monotonic() - began, first=first))


class StackRun:
    """Runs these parts in a home that is ours, and writes down how they are."""

    def __init__(
        self, parts: Sequence[Part], home: Home, lifeline: Lifeline, listener: Listener, clock: Clock
    ) -> None:
        self._home = home
        self._lifeline = lifeline
        self._listener = listener
        self._started_at = clock.now()
        self._told_to_stop = asyncio.Event()
        self._supervisor = Supervisor(parts, home, lifeline, self._part_changed, clock)

    async def until_told_to_stop(self, all_ready: Callable[[], None]) -> None:
        """Start everything, run it until SIGINT, SIGTERM or SIGHUP, stop everything."""
        with self._signals():
            try:
                if await self._unless_told_to_stop(self._supervisor.start()):
                    all_ready()
                    await self._unless_told_to_stop(self._supervisor.watch())
            finally:
                self._listener.stopping()
                await self._supervisor.stop()
                self._home.state_file.unlink(missing_ok=True)
                self._listener.stopped()

    @contextmanager
    def _signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, self._on_signal)
        try:
            yield
        finally:
            for number in STOP_SIGNALS:
                loop.remove_signal_handler(number)

    def _on_signal(self) -> None:
        """The first signal stops in order; the second, of somebody in a hurry, stops everything at once."""
        if self._told_to_stop.is_set():
            self._lifeline.close()
        self._told_to_stop.set()

    async def _unless_told_to_stop(self, work: Coroutine[Any, Any, None]) -> bool:
        """Do the work to its end; False when a signal came first."""
        working = asyncio.create_task(work)
        told = asyncio.create_task(self._told_to_stop.wait())
        try:
            await asyncio.wait({working, told}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                return False
            await working
            return True
        finally:
            told.cancel()
            working.cancel()
            with suppress(asyncio.CancelledError):
                await working

    def _part_changed(self, status: PartStatus) -> None:
        state = StackState(os.getpid(), self._started_at, tuple(self._supervisor.statuses))
        # A full disk makes `ctl status` old, which is no reason to stop the stack.
        with suppress(OSError):
            state.save(self._home.state_file)
        self._listener.part_changed(status)
