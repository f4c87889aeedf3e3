"""Starting a process under a guard, and stopping it again."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from controlplane.embedded.identity import SAME, Identity


@dataclass(frozen=True)
class Command:
    """What to run, as whom, and how it wishes to be stopped."""

    arguments: Sequence[str]
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    identity: Identity = SAME
    stop_signal: signal.Signals = signal.SIGTERM
    grace_s: float = 5.0


class Lifeline:
    """A pipe that closes when this process ends in any way, and takes every guard on it along.

    `shared` are descriptors that each guard and its command inherit, such as that of a locked file.
    """

    def __init__(self, *shared: int) -> None:
        self.reading, self._writing = os.pipe()
        self.shared = shared
        self._closed = False

    def close(self) -> None:
        """End every guard on this line. Closing twice does no harm."""
        if not self._closed:
            self._closed = True
            os.close(self._writing)
            os.close(self.reading)


@dataclass(frozen=True)
class Guarded:
    """A running command. `pid` is the command's own, not its guard's."""

    pid: int
    _guard: asyncio.subprocess.Process

    @classmethod
    async def start(cls, command: Command, lifeline: Lifeline, log: Path) -> "Guarded":
        reading, writing = os.pipe()
        try:
            guard = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "controlplane.embedded.guard"),
                *("--lifeline", str(lifeline.reading), "--report", str(writing), "--log", str(log)),
                *("--identity", str(command.identity), "--stop-signal", str(int(command.stop_signal))),
                *("--grace", str(command.grace_s), "--", *command.arguments),
                env=dict(command.environ),
                pass_fds=(lifeline.reading, writing, *lifeline.shared),
                stdin=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )
        finally:
            os.close(writing)
        with os.fdopen(reading) as report:
            pid = await asyncio.to_thread(report.readline)
        return cls(int(pid or 0), guard)

    @property
    def guard_pid(self) -> int:
        return self._guard.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; 128 + N when signal N ended it."""
        code = self._guard.returncode
        return code if code is None or code >= 0 else 128 - code

    async def wait(self) -> int:
        """The exit code, once the command and all that it started are gone."""
        await self._guard.wait()
        return self.exit_code or 0

    async def ended_within(self, seconds: float) -> bool:
        """Wait that long at most; True when it has ended."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._guard.wait(), seconds)
        return self.exit_code is not None

    async def stop(self) -> int:
        """Ask it to stop; the guard kills it when its grace is over."""
        if self.exit_code is None:
            self._guard.send_signal(signal.SIGTERM)
        return await self.wait()


async def run_to_end(command: Command, lifeline: Lifeline, log: Path) -> int:
    """Run a command that ends by itself, such as initdb, and return its exit code."""
    process = await Guarded.start(command, lifeline, log)
    try:
        return await process.wait()
    except asyncio.CancelledError:
        await process.stop()
        raise
