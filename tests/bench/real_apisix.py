"""The same against a gateway that somebody runs: an APISIX with etcd, none of whose objects is touched."""

import asyncio
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from controlplane.core.objects import Body, ObjectKey, resolve
from controlplane.gateway.apisix import ApisixAdmin
from controlplane.gateway.client import AdminClient
from tests.bench.plan import SECRETS, Target, document, measured
from tests.fixtures.specs import compiled

CONCURRENCIES = (1, 4, 8, 16, 32, 64)
_TO_DELETE = 8

Objects = Sequence[tuple[ObjectKey, Body]]


def measure_real(target: Target, sizes: Sequence[int]) -> None:
    for size in sizes:
        objects = [(item.key, resolve(item.body, SECRETS)) for item in compiled(document(size)).objects]
        taken = asyncio.run(_taken(target, objects))
        if taken:
            raise SystemExit(f"the gateway has objects of these names, such as {taken}; remove them first")
        try:
            _measure(target, size, objects)
        finally:
            asyncio.run(_removed(target, objects))


def _measure(target: Target, size: int, objects: Objects) -> None:
    bare = {}
    for at_once in CONCURRENCIES:
        bare[at_once] = asyncio.run(_written(target, objects, at_once))
        asyncio.run(_removed(target, objects))
        print(f"{len(objects)} bare writes, {at_once} at once | {bare[at_once]:.1f} s", flush=True)
    best = min(bare.values())
    with tempfile.TemporaryDirectory() as folder:
        found = measured(size, Path(folder), target, len(objects), best, best)
    print(
        f"queues: {size}\nobjects: {len(objects)}\nfirst apply: {found.apply_s:.1f} s\n"
        f"bare writes: {best:.1f} s\nratio: {found.apply_s / best:.2f}\n"
        f"no-op plan: {found.first_s:.2f} s, again {found.no_op_s:.2f} s\n"
        f"one change: {found.change_ms:.0f} ms\nservice: {found.megabytes:.0f} MB",
        flush=True,
    )


async def _taken(target: Target, objects: Objects) -> str | None:
    admin = _admin(target, _TO_DELETE)
    try:
        there = (await admin.read()).keys()
    finally:
        await admin.close()
    return next((str(key) for key, _ in objects if key in there), None)


async def _written(target: Target, objects: Objects, at_once: int) -> float:
    """Seconds for bare writes of all of them, parents first."""
    admin = _admin(target, at_once)
    began = time.perf_counter()
    for rank in sorted({key.kind.rank for key, _ in objects}):
        of_rank = [each for each in objects if each[0].kind.rank == rank]
        await _each(of_rank, lambda one: admin.write(*one), at_once)
    took = time.perf_counter() - began
    await admin.close()
    return took


async def _removed(target: Target, objects: Objects) -> None:
    admin = _admin(target, _TO_DELETE)
    for rank in sorted({key.kind.rank for key, _ in objects}, reverse=True):
        of_rank = [each for each in objects if each[0].kind.rank == rank]
        await _each(of_rank, lambda one: admin.delete(one[0]), _TO_DELETE)
    await admin.close()


async def _each(
    objects: Iterable[tuple[ObjectKey, Body]],
    work: Callable[[tuple[ObjectKey, Body]], Coroutine[Any, Any, None]],  # Any: as coroutines are typed
    at_once: int,
) -> None:
    left = iter(objects)

    async def work_on(left: Iterator[tuple[ObjectKey, Body]]) -> None:
        for each in left:
            await work(each)

    await asyncio.gather(*(work_on(left) for _ in range(at_once)))


def _admin(target: Target, at_once: int) -> ApisixAdmin:
    return ApisixAdmin(AdminClient(target.url, target.key, in_flight=at_once))
