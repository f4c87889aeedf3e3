"""Valkey servers that a test may stop, hang and start again; none outlives the test run."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import RedisError

from controlplane.embedded.guarded import Command, Guarded, Lifeline
from controlplane.embedded.valkey import wheel_server
from tests.fixtures.free_ports import free_ports

DEADLINE_S = 60.0
_QUICK = ("--appendonly", "no", "--repl-diskless-sync-delay", "0")


async def eventually(happens: Callable[[], Awaitable[bool]]) -> None:
    """Wait until it does."""
    deadline = time.monotonic() + DEADLINE_S
    while not await happens():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)


@dataclass
class OwnValkey:
    """One server in a folder of its own. `start` may be called again after `kill`."""

    folder: Path
    lifeline: Lifeline
    port: int
    options: tuple[str, ...] = ()
    other_port: int = field(default_factory=lambda: free_ports(1)[0])
    process: Guarded | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def client(self) -> Redis:
        return Redis(host="127.0.0.1", port=self.port, decode_responses=True)

    async def start(self) -> None:
        self.folder.mkdir(exist_ok=True)
        options = [option.format(other_port=self.other_port) for option in self.options]
        arguments = [str(wheel_server()), *options, "--port", str(self.port), "--dir", str(self.folder)]
        command = Command([*arguments, "--bind", "127.0.0.1", "--save", "", *_QUICK])
        self.process = await Guarded.start(command, self.lifeline, self.folder / "log")
        await eventually(self.answers)

    async def answers(self) -> bool:
        async with self.client() as client:
            try:
                return bool(await client.ping())
            except RedisError:
                return False

    def hang(self) -> None:
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._signal(signal.SIGCONT)

    async def kill(self) -> None:
        self._signal(signal.SIGKILL)
        if self.process is not None:
            await self.process.wait()
            self.process = None

    def _signal(self, number: signal.Signals) -> None:
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.kill(self.process.pid, number)


@asynccontextmanager
async def own_valkeys(
    folder: Path, count: int, *, options: tuple[str, ...] = ()
) -> AsyncIterator[list[OwnValkey]]:
    """So many servers, started; ended at the end. `{other_port}` in the options is a second port of each."""
    lifeline = Lifeline()
    servers = [OwnValkey(folder / str(port), lifeline, port, options) for port in free_ports(count)]
    try:
        for server in servers:
            await server.start()
        yield servers
    finally:
        for server in servers:
            await server.kill()
        lifeline.close()
