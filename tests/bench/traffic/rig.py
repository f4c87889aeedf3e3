"""The processes of a measurement, and a gateway that holds what our compiler makes of a document."""

import asyncio
import json
import os
import secrets
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import psutil

from controlplane.core.abilities import Abilities
from controlplane.core.contexts import CounterStore
from controlplane.core.objects import resolve
from controlplane.core.plan import plan_against_live
from controlplane.core.secrets import SecretRef
from controlplane.embedded.probes import redis_problem
from controlplane.embedded.valkey import EmbeddedValkey, wheel_server
from controlplane.gateway.apisix import ApisixAdmin
from controlplane.gateway.client import AdminClient
from tests.bench.traffic.load import Load, Outcome
from tests.fixtures.free_ports import free_ports
from tests.fixtures.specs import compiled, document, queue

READY_S = 30.0
KEY = "sk-bench-0001"
CHAT = "/queues/support/v1/chat/completions"

# Any: documents as users write them.


@dataclass(frozen=True)
class Counters:
    """The Valkey of a measurement."""

    port: int
    password: str


@dataclass(frozen=True)
class Proxy:
    """A proxy as a process of its own; a call to `path` with `headers` is let through."""

    name: str
    process: psutil.Process
    port: int
    path: str
    headers: Mapping[str, str]

    @property
    def cpu_s(self) -> float:
        """The processor time that it has used."""
        times = self.process.cpu_times()
        return times.user + times.system

    @property
    def megabytes(self) -> float:
        return self.process.memory_info().rss / 1e6


@asynccontextmanager
async def started(
    arguments: Sequence[str], environ: Mapping[str, str] | None = None, log: BinaryIO | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that is killed at the end of the block; what it prints is read from it, or goes to a log."""
    process = await asyncio.create_subprocess_exec(
        *arguments,
        stdout=asyncio.subprocess.PIPE if log is None else log,
        stderr=log,
        env=dict(environ) if environ is not None else None,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def first_line(process: asyncio.subprocess.Process) -> str:
    """What a process says when it is ready."""
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), READY_S)
    if not line:
        raise SystemExit("a process of the measurement did not start")
    return line.decode()


@asynccontextmanager
async def valkey(folder: Path) -> AsyncIterator[Counters]:
    """A Valkey of its own."""
    server = EmbeddedValkey(wheel_server(), folder, free_ports(1)[0], secrets.token_urlsafe(8), durable=False)
    command = server.prepare()
    async with started([*command.arguments, "--logfile", str(folder / "log")], command.environ):
        async with asyncio.timeout(READY_S):
            while await redis_problem(server.url()):
                await asyncio.sleep(0.02)
        yield Counters(server.port, server.password)


@asynccontextmanager
async def provider() -> AsyncIterator[int]:
    """The provider behind everything; its port."""
    async with started([sys.executable, "-m", "tests.bench.traffic.provider"]) as process:
        yield int(await first_line(process))


@asynccontextmanager
async def floor(name: str, provider_port: int) -> AsyncIterator[Proxy]:
    """A proxy that limits nothing."""
    arguments = [sys.executable, "-m", "tests.bench.traffic.floor", str(provider_port)]
    async with started(arguments) as process:
        port = int(await first_line(process))
        yield Proxy(name, psutil.Process(process.pid), port, "/v1/chat/completions", {})


@asynccontextmanager
async def governed(
    name: str, parts: dict[str, Any], folder: Path, provider_port: int, counters: Counters
) -> AsyncIterator[Proxy]:
    """Our gateway with one queue, declared by `parts`, and a key that may use it."""
    port, admin_port = free_ports(2)
    admin_key = secrets.token_urlsafe(8)
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith("SLUICE_")},
        "SLUICE_HOME": str(folder / name.replace(" ", "-")),
        "SLUICE_GATEWAY_PORT": str(port),
        "SLUICE_GATEWAY_ADMIN_PORT": str(admin_port),
        "SLUICE_FALLBACK_ADMIN_KEY": admin_key,
    }
    async with started([sys.executable, "-m", "controlplane.fallback"], environ) as process:
        await first_line(process)
        admin = ApisixAdmin(AdminClient(f"http://127.0.0.1:{admin_port}", admin_key))
        try:
            await _declare(admin, parts, provider_port, counters)
        finally:
            await admin.close()
        headers = {"Authorization": f"Bearer {KEY}"}
        yield Proxy(name, psutil.Process(process.pid), port, CHAT, headers)


async def apply_load(load: Load) -> Outcome:
    """Run a load in a process of its own."""
    async with started(
        [sys.executable, "-m", "tests.bench.traffic.load", json.dumps(asdict(load))]
    ) as process:
        return Outcome(**json.loads(await asyncio.wait_for(first_line(process), load.seconds + READY_S)))


async def _declare(admin: ApisixAdmin, parts: dict[str, Any], provider_port: int, counters: Counters) -> None:
    """Compile the document and write it, as the reconciler does."""
    account = {"name": "openai-main", "type": "openai", "endpoint": f"http://127.0.0.1:{provider_port}"}
    store = CounterStore(host="127.0.0.1", port=counters.port, password=SecretRef("redis", "print-of-redis"))
    declared = document(
        providers=[account], queues=[queue(**parts)], keys=[{"name": "web", "queues": ["support"]}]
    )
    result = compiled(declared, store, Abilities.of((await admin.capabilities()).plugins))
    if result.problems:
        raise SystemExit(f"the gateway cannot enforce the document: {result.problems}")
    texts = {"provider/openai-main": "sk-provider", "key/web": KEY, "redis": counters.password}
    plan = plan_against_live(
        result.objects, await admin.read(), {}, owner="sluice", digest=lambda text: f"print-of-{text}"
    )
    for step in plan.steps:
        if step.wanted is not None:
            await admin.write(step.key, resolve(step.wanted.body, texts))
