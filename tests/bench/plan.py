"""How `ctl` and the service fare with many queues: `make bench-plan`.

Against an Admin API on this machine that takes 5 ms for a write: the first apply beside the bare writes at
the best concurrency, a plan that finds nothing to do, one change, a pass that finds nothing changed, and the
memory of the service.
`make bench-plan SIZES="1000 3000"` measures other sizes. With SLUICE_TEST_APISIX_ADMIN_URL and
SLUICE_TEST_APISIX_ADMIN_KEY it measures against that gateway instead, and removes there what it made.
"""

import asyncio
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from controlplane.clock import SystemClock
from controlplane.core.objects import resolve
from controlplane.gateway.apisix import ApisixAdmin
from controlplane.gateway.client import AdminClient
from controlplane.reconciler.passes import GatewayPass
from controlplane.reconciler.wiring import pass_maker
from controlplane.settings import Settings
from controlplane.store.reconciling import ReconcilingStore
from controlplane.store.store import open_store
from tests.bench.traffic.rig import first_line, started
from tests.fixtures.specs import compiled
from tests.fixtures.stack_process import StackProcess, ctl

SIZES = (1000, 3000, 10_000)
CONCURRENCIES = (8, 16, 32, 64)
BARE_WRITES = 2000
NO_OPS = 5
CHANGES = 10
COLUMNS = (
    *("queues", "objects", "first apply", "bare writes", "ratio", "bare writes by httpx", "ratio"),
    *("no-op plan, first", "no-op plan, again", "one change", "idle pass", "look", "service"),
)
SECRETS = {"provider/openai-main": "sk-bench"}
_PATIENCE_S = 900

# Any: documents as users write them.


@dataclass(frozen=True)
class Target:
    """The Admin API that is written to."""

    url: str
    key: str = "bench"


@dataclass(frozen=True)
class Found:
    """What was measured with so many queues."""

    queues: int
    objects: int
    apply_s: float
    bare_s: float
    """The same objects written by our client at the best concurrency, and nothing else done."""
    httpx_s: float
    """The same by a client that can do everything, as scripts have it."""
    first_s: float
    """The first plan that finds nothing to do: the service has not seen these files yet."""
    no_op_s: float
    change_ms: float
    pass_ms: float
    """A pass of the loop that finds nothing changed."""
    look_ms: float
    """One that reads the gateway for edits by hand, and finds none."""
    megabytes: float


def document(queues: int) -> dict[str, Any]:
    """So many queues of two members, each with limits of its own."""
    members = [
        {"name": name, "provider": "openai-main", "model": model, "weight": weight}
        for name, model, weight in (("main", "gpt-4o", 80), ("spare", "gpt-4o-mini", 20))
    ]
    limits = [{"tokens": 500_000, "per": "1h"}, {"requests": 600, "per": "1m"}, {"concurrency": 32}]
    return {
        "version": 1,
        "source": "bench",
        "providers": [{"name": "openai-main", "type": "openai"}],
        "queues": [
            {"name": f"queue-{number:05}", "members": members, "limits": limits} for number in range(queues)
        ],
    }


async def measure(queues: int, folder: Path) -> Found:
    async with started([sys.executable, "-m", "tests.bench.traffic.admin_api"]) as gateway:
        port = int(await first_line(gateway))
        objects = len(compiled(document(queues)).objects)
        few = document(min(queues, 1000))
        bare_s = await bare_writes(few) * objects
        httpx_s = await bare_writes(few, by_httpx=True) * objects
        target = Target(f"http://127.0.0.1:{port}")
        return await asyncio.to_thread(measured, queues, folder, target, objects, bare_s, httpx_s)


async def bare_writes(values: dict[str, Any], *, by_httpx: bool = False) -> float:
    """Seconds for one write of our objects, at the best concurrency, with nothing else done."""
    best = math.inf
    bodies = [(item.key, resolve(item.body, SECRETS)) for item in compiled(values).objects][:BARE_WRITES]
    for at_once in CONCURRENCIES:
        async with started([sys.executable, "-m", "tests.bench.traffic.admin_api"]) as gateway:
            url = f"http://127.0.0.1:{int(await first_line(gateway))}"
            transport = httpx.AsyncHTTPTransport() if by_httpx else None
            admin = ApisixAdmin(AdminClient(url, "bench", in_flight=at_once, transport=transport))
            left = iter(bodies)

            async def write_on(admin: ApisixAdmin = admin, left: Iterator[Any] = left) -> None:
                for key, body in left:
                    await admin.write(key, body)

            began = time.perf_counter()
            await asyncio.gather(*(write_on() for _ in range(at_once)))
            best = min(best, (time.perf_counter() - began) / len(bodies))
            await admin.close()
    return best


def measured(
    queues: int,
    folder: Path,
    target: Target,
    objects: int,
    bare_s: float,
    httpx_s: float,
    *,
    rest_s: float = 0,
) -> Found:
    """What `ctl` and the service need, on a stack of their own before this Admin API, which rests first."""
    file = folder / "queues.yaml"
    file.write_text(json.dumps(document(queues), indent=1))
    with _stack(folder / "home", target) as stack:
        time.sleep(rest_s)
        arguments = ("apply", "-f", str(file), "--yes", "--timeout", str(_PATIENCE_S))
        apply_s = _timed(stack, *arguments)
        first_s = _timed(stack, "plan", "-f", str(file))
        no_op_s = sorted(_timed(stack, "plan", "-f", str(file)) for _ in range(NO_OPS))[NO_OPS // 2]
        change_ms = _change(stack, target)
        pass_ms, look_ms = asyncio.run(_passes(stack))
        process = psutil.Process(stack.part("service").pid or 0)
        service = max([process, *process.children(recursive=True)], key=lambda one: one.memory_info().rss)
        return Found(
            queues,
            objects,
            apply_s,
            bare_s,
            httpx_s,
            first_s,
            no_op_s,
            change_ms,
            pass_ms,
            look_ms,
            service.memory_info().rss / 1e6,
        )


def _change(stack: StackProcess, target: Target) -> float:
    """Milliseconds from a REST write of a queue's limit to the change at the gateway; the median."""
    times = []
    api = httpx.Client(
        base_url=f"http://127.0.0.1:{stack.port('service')}/api/v1",
        headers={"Authorization": f"Bearer {stack.secret('admin-token')}"},
        timeout=60,
    )
    headers = {"X-API-KEY": target.key}
    gateway = httpx.Client(base_url=f"{target.url}/apisix/admin", headers=headers, timeout=60)
    with api, gateway:
        for number in range(CHANGES):
            limit = {"tokens": 1000 + number, "per": "1h"}
            began = time.perf_counter()
            api.patch("/queues/queue-00007", json={"limits": [limit]}).raise_for_status()
            while str(1000 + number) not in gateway.get("/plugin_configs/q.queue-00007").text:
                if time.perf_counter() - began > _PATIENCE_S:
                    raise SystemExit("the gateway never got the change")
            times.append((time.perf_counter() - began) * 1000)
    return sorted(times)[len(times) // 2]


async def _passes(stack: StackProcess) -> tuple[float, float]:
    """Milliseconds of a pass that finds nothing changed, without a look at the gateway and with one."""
    settings = Settings.from_env(
        {
            **stack.environ,
            "SLUICE_DATABASE_URL": stack.postgres_url,
            "SLUICE_MASTER_KEY": stack.secret("master-key"),
        }
    )
    async with open_store(settings) as store:
        kept = ReconcilingStore(store.database, store.sealer)
        (record,) = await kept.gateways()
        work = pass_maker(settings, store, kept, SystemClock())(record, lambda: True)
        await work.recall()
        await work.run(await kept.desired(), look=True)
        found = [await _pass_ms(work, kept, look=look) for look in (False, True) for _ in range(NO_OPS)]
        await work.gateway.close()
    return sorted(found[:NO_OPS])[NO_OPS // 2], sorted(found[NO_OPS:])[NO_OPS // 2]


async def _pass_ms(work: GatewayPass, kept: ReconcilingStore, *, look: bool) -> float:
    began = time.perf_counter()
    await work.run(await kept.desired(), look=look)
    return (time.perf_counter() - began) * 1000


def _timed(stack: StackProcess, *arguments: str) -> float:
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "cli", *arguments],
        env=stack.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    took = time.perf_counter() - began
    if done.returncode not in (0, 2):
        raise SystemExit(f"ctl {arguments[0]} ended with {done.returncode}: {done.stderr[-2000:]}")
    return took


@contextmanager
def _stack(home: Path, target: Target) -> Iterator[StackProcess]:
    stack = StackProcess.at(home)
    stack.environ["SLUICE_GATEWAY_ADMIN_URL"] = target.url
    stack.environ["SLUICE_GATEWAY_ADMIN_KEY"] = target.key
    up = ctl(stack.environ, "up", "-d")
    if up.returncode:
        raise SystemExit(up.stderr)
    try:
        yield stack
    finally:
        ctl(stack.environ, "down")
        stack.wait_until_gone()


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """How a time grows with the size: the slope of the line through the logarithms."""
    xs, ys = [math.log(size) for size in sizes], [math.log(value) for value in values]
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    above = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True))
    return above / sum((x - mean_x) ** 2 for x in xs)


def main(sizes: Sequence[int]) -> None:
    print(" | ".join(COLUMNS))
    rows = []
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            row = asyncio.run(measure(size, Path(folder)))
        rows.append(row)
        print(
            f"{row.queues} | {row.objects} | {row.apply_s:.1f} s | {row.bare_s:.1f} s | "
            f"{row.apply_s / row.bare_s:.2f} | {row.httpx_s:.1f} s | {row.apply_s / row.httpx_s:.2f} | "
            f"{row.first_s:.2f} s | {row.no_op_s:.2f} s | "
            f"{row.change_ms:.0f} ms | {row.pass_ms:.1f} ms | {row.look_ms:.0f} ms | {row.megabytes:.0f} MB",
            flush=True,
        )
    if len(rows) > 1:
        queues = [row.queues for row in rows]
        print(
            f"growth: first apply n^{exponent(queues, [row.apply_s for row in rows]):.2f}, "
            f"no-op n^{exponent(queues, [row.no_op_s for row in rows]):.2f}"
        )


if __name__ == "__main__":
    given = [int(size) for size in sys.argv[1:]]
    if real := os.environ.get("SLUICE_TEST_APISIX_ADMIN_URL"):
        from tests.bench.real_apisix import measure_real

        measure_real(Target(real, os.environ["SLUICE_TEST_APISIX_ADMIN_KEY"]), given or SIZES[:1])
    else:
        main(given or SIZES)
